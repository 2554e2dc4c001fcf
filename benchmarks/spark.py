"""What a refresh costs on a Spark cluster, by size. On demand:

    .venv/bin/python -m benchmarks.spark 100_000 300_000 1_000_000 [--all] [--results FILE.json]

Starts a master and two workers of one core each, lands the plain shop of benchmarks.marts (ten orders a customer, three
lines an order) and builds `orders`, `order_items`, `customer_rfm` and `cohort_retention` with all that they read, or
with `--all` every mart. Adds up what executors report in Spark's event log: CPU, bytes shuffled, spilled and read, the
largest task's memory, and the longest task beside the median of its stage (skew); what the tables take on disk; and
what Python and DuckDB took beside it (not the JVM that plans). CPU and bytes say what a larger cluster needs; seconds
on a shared machine don't. docs/scale.md reckons with them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.marts import AS_OF, write_shop
from tests.engines.spark_cluster import spark_cluster

MODELS = ("orders", "order_items", "customer_rfm", "cohort_retention")
LAYOUT = {"spark_layout_from_rows": 0}
"""Parts and buckets at every size, as the large ones have them."""
GB = 1e9


@dataclass
class Cost:
    """What the tasks of a model took together."""

    cpu: float = 0.0
    shuffled: float = 0.0
    spilled: float = 0.0
    read: float = 0.0
    memory: float = 0.0
    stages: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def skew(self) -> float:
        """The longest task beside the median of its stage, where a stage took seconds."""
        ratios = [
            max(tasks) / max(statistics.median(tasks), 0.05)
            for tasks in self.stages.values()
            if len(tasks) > 1 and sum(tasks) > 2
        ]
        return max(ratios, default=1.0)


def costs(events: Path, spans: list[tuple[str, float, float]]) -> dict[str, Cost]:
    """Task metrics by model: a task belongs to the model that ran when it was launched (one model at a time)."""
    found: dict[str, Cost] = defaultdict(Cost)
    for event in _events(events):
        if event["Event"] != "SparkListenerTaskEnd" or not event.get("Task Metrics"):
            continue
        info, metrics = event["Task Info"], event["Task Metrics"]
        launched = info["Launch Time"] / 1000
        cost = found[next((name for name, start, end in spans if start <= launched <= end), "other")]
        cpu = metrics["Executor CPU Time"] / 1e9
        cost.cpu += cpu
        cost.shuffled += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
        cost.spilled += metrics["Disk Bytes Spilled"]
        cost.read += metrics["Input Metrics"]["Bytes Read"]
        cost.memory = max(cost.memory, metrics.get("Peak Execution Memory", 0))
        cost.stages[event["Stage ID"]].append(cpu)
    return found


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("appstatus")):
        for line in file.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


@dataclass
class Measured:
    """A size's refresh: costs by model, bytes of the tables by schema, CPU seconds of Python and DuckDB."""

    orders: int
    models: dict[str, Cost]
    disk: dict[str, int]
    home_cpu: float
    seconds: float

    @property
    def total(self) -> Cost:
        """All models together."""
        total = Cost()
        for cost in self.models.values():
            total.cpu += cost.cpu
            total.shuffled += cost.shuffled
            total.spilled += cost.spilled
            total.read += cost.read
            total.memory = max(total.memory, cost.memory)
        return total

    def row(self) -> dict[str, float]:
        """What docs/scale.md needs of a size."""
        total = self.total
        return {
            "orders": self.orders,
            "executor CPU s": total.cpu,
            "home CPU s (Python, DuckDB)": self.home_cpu,
            "wall s": self.seconds,
            "shuffled bytes an order": total.shuffled / self.orders,
            "read bytes an order": total.read / self.orders,
            "spilled GB": total.spilled / GB,
            "largest task's memory, GB": total.memory / GB,
            **{f"{name}, bytes an order": size / self.orders for name, size in sorted(self.disk.items())},
        }


def measure(orders: int, root: Path, every_mart: bool) -> Measured:
    """Build the marts for a shop of so many orders."""
    raw, conf, events = root / "raw", root / "conf", root / "events"
    for folder in (raw, conf, events):
        folder.mkdir(parents=True)
    write_shop(raw, orders)
    (conf / "spark-defaults.conf").write_text(
        f"spark.eventLog.enabled true\nspark.eventLog.dir {events}\nspark.eventLog.compress false\n"
        "spark.eventLog.rolling.enabled false\n",
        encoding="utf-8",
    )
    models = every_mart_name() if every_mart else MODELS
    with spark_cluster(root / "cluster", memory="2g") as master:
        environment = {
            **os.environ,
            "RITORNO_SPARK_MASTER": master,
            "RITORNO_SPARK_CATALOG": "in-memory",
            "RITORNO_SPARK_EXECUTOR_MEMORY": "1500m",
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_CONF_DIR": str(conf),
            "RITORNO_BENCH_SPANS": str(root / "spans.json"),
        }
        code = "from tests.engines.shop import build_named; build_named()"
        given = [json.dumps({"files": str(raw)}), str(root / "home"), "spark", AS_OF.isoformat(), json.dumps(LAYOUT)]
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code, *given, *models], env=environment, check=True)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    spans = [tuple(span) for span in json.loads((root / "spans.json").read_text())]
    disk = {path.name: _size(path) for path in (root / "home" / "spark").iterdir() if path.is_dir()}
    disk["raw files"] = _size(raw)
    home_cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(orders, costs(events, spans), disk, home_cpu, seconds)


def every_mart_name() -> list[str]:
    """The names of all marts."""
    from tests.support import Project

    nodes = Project.compile().manifest["nodes"].values()
    return sorted(node["name"] for node in nodes if node["resource_type"] == "model" and node["schema"] == "marts")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def main(sizes: list[int], every_mart: bool, results: Path | None) -> None:
    """Measure each size and print the models beside each other."""
    table = Table(title=f"{'every mart' if every_mart else 'the spine'} on a Spark cluster of two cores")
    table.add_column("model")
    measured: list[Measured] = []
    for orders in sizes:
        for what in ("CPU s", "shuffle GB", "spill GB", "skew"):
            table.add_column(f"{orders:,}\n{what}", justify="right")
        with tempfile.TemporaryDirectory(prefix="ritorno-spark-") as root:
            measured.append(measure(orders, Path(root), every_mart))
        if results:  # a later size may be stopped
            results.write_text(json.dumps([found.row() for found in measured], indent=1), encoding="utf-8")
    last = measured[-1].models
    for name in sorted(last, key=lambda name: -last[name].cpu)[:25]:
        table.add_row(name, *(cell for found in measured for cell in _cells(found.models.get(name, Cost()))))
    table.add_row("all", *(cell for found in measured for cell in _cells(found.total)), style="bold")
    console = Console(width=160)
    console.print(table)
    sums = Table(title="by size")
    for column in ("", *(f"{found.orders:,}" for found in measured)):
        sums.add_column(column, justify="right" if column else "left")
    for name in measured[-1].row():
        sums.add_row(name, *(f"{found.row().get(name, 0):,.1f}" for found in measured))
    console.print(sums)


def _cells(cost: Cost) -> list[str]:
    return [f"{cost.cpu:.1f}", f"{cost.shuffled / GB:.3f}", f"{cost.spilled / GB:.2f}", f"{cost.skew:.1f}"]


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("sizes", type=int, nargs="*", default=[100_000, 300_000, 1_000_000])
    asked.add_argument("--all", action="store_true")
    asked.add_argument("--results", type=Path)
    told = asked.parse_args()
    main(told.sizes, told.all, told.results)
