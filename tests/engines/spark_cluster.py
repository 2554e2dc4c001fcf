"""A real Spark cluster on this machine: a master and workers, each a JVM of its own, from the pyspark package."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 90


def missing() -> str:
    """Why there can be no cluster here; empty if there can."""
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed: make spark"
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        return "Spark needs Java 17: apt-get install openjdk-17-jre-headless"
    return ""


@contextmanager
def spark_cluster(folder: Path, workers: int = 2, memory: str = "1g") -> Iterator[str]:
    """The master's URL; each worker has one core."""
    import pyspark

    command = str(Path(str(pyspark.__file__)).parent / "bin" / "spark-class")
    port = _free_port()
    address = f"spark://127.0.0.1:{port}"
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m"}
    environment["SPARK_DAEMON_JAVA_OPTS"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    ends = [
        ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"],
        *(
            [
                *("org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--cores", "1", "--memory", memory),
                *("--webui-port", "0", "--work-dir", str(folder / f"worker-{number}"), address),
            ]
            for number in range(workers)
        ),
    ]
    log = folder / "cluster.log"
    running: list[subprocess.Popen[bytes]] = []
    try:
        with log.open("wb") as out:
            for end in ends:
                running.append(subprocess.Popen([command, *end], env=environment, stdout=out, stderr=subprocess.STDOUT))
        _wait_for_workers(log, running, workers)
        yield address
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def connect_server(folder: Path, master: str, settings: Mapping[str, str]) -> Iterator[str]:
    """A Spark Connect server whose executors are a cluster's; its address for RITORNO_SPARK_REMOTE."""
    port = _free_port()
    given = {**settings, "spark.connect.grpc.binding.port": str(port)}
    with _server(folder, "org.apache.spark.sql.connect.service.SparkConnectServer", master, given, port):
        yield f"sc://127.0.0.1:{port}"


@contextmanager
def thrift_server(folder: Path, master: str, settings: Mapping[str, str]) -> Iterator[str]:
    """A Spark Thrift server whose executors are a cluster's; its address for RITORNO_SPARK_THRIFT."""
    port = _free_port()
    hive = ["hive.server2.thrift.port", "hive.server2.thrift.bind.host", "hive.server2.authentication"]
    given = [f"{name}={value}" for name, value in zip(hive, [str(port), "127.0.0.1", "NOSASL"], strict=True)]
    name = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
    with _server(folder, name, master, settings, port, [part for told in given for part in ("--hiveconf", told)]):
        yield f"127.0.0.1:{port}"


@contextmanager
def _server(
    folder: Path, name: str, master: str, settings: Mapping[str, str], port: int, arguments: Sequence[str] = ()
) -> Iterator[None]:
    import pyspark

    folder.mkdir(parents=True, exist_ok=True)
    told = {**settings, "spark.master": master}
    command = [
        *(str(Path(str(pyspark.__file__)).parent / "bin" / "spark-submit"), "--class", name),
        *(part for key, value in told.items() for part in ("--conf", f"{key}={value}")),
        *("spark-internal", *arguments),
    ]
    log = folder / "server.log"
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + START_SECONDS
        while not _answers(port):
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError(f"no Spark server: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def _answers(port: int) -> bool:
    with socket.socket() as asked:
        asked.settimeout(1)
        return asked.connect_ex(("127.0.0.1", port)) == 0


def _wait_for_workers(log: Path, running: list[subprocess.Popen[bytes]], workers: int) -> None:
    end = time.monotonic() + START_SECONDS
    while log.read_text(errors="replace").count("Successfully registered with master") < workers:
        if time.monotonic() > end or any(process.poll() is not None for process in running):
            raise RuntimeError(f"no Spark cluster: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
