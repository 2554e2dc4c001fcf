"""A real Spark cluster on this machine: a master and workers, each a JVM of its own, from the pyspark package."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
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
