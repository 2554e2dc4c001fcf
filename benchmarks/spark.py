"""What the spine costs on a Spark cluster, by size. On demand: .venv/bin/python -m benchmarks.spark 200_000 1_000_000.

Starts a master and two workers of one core each, lands the plain shop of benchmarks.marts, builds `orders`,
`order_items`, `customer_rfm` and `cohort_retention` with all that they read, and adds up what the executors report in
Spark's event log: CPU, bytes shuffled, spilled and read, and the longest task beside the median of its stage (skew).
CPU and bytes say what a larger cluster needs; seconds on a shared machine don't.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
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
GB = 1e9


@dataclass
class Cost:
    """What the tasks of a model took together."""

    cpu: float = 0.0
    shuffled: float = 0.0
    spilled: float = 0.0
    read: float = 0.0
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
        cost.stages[event["Stage ID"]].append(cpu)
    return found


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("appstatus")):
        for line in file.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def measure(orders: int, root: Path) -> dict[str, Cost]:
    """Build the spine for a shop of so many orders; returns the cost by model."""
    raw, conf, events = root / "raw", root / "conf", root / "events"
    for folder in (raw, conf, events):
        folder.mkdir(parents=True)
    write_shop(raw, orders)
    (conf / "spark-defaults.conf").write_text(
        f"spark.eventLog.enabled true\nspark.eventLog.dir {events}\nspark.eventLog.compress false\n"
        "spark.eventLog.rolling.enabled false\n",
        encoding="utf-8",
    )
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
        subprocess.run(
            [sys.executable, "-c", code, str(raw), str(root / "home"), "spark", AS_OF.isoformat(), *MODELS],
            env=environment,
            check=True,
        )
    return costs(events, [tuple(span) for span in json.loads((root / "spans.json").read_text())])


def main(sizes: list[int]) -> None:
    """Measure each size and print the models beside each other."""
    table = Table(title="the spine on a Spark cluster of two cores")
    table.add_column("model")
    measured = []
    for orders in sizes:
        for what in ("CPU s", "shuffle GB", "spill GB", "skew"):
            table.add_column(f"{orders:,}\n{what}", justify="right")
        with tempfile.TemporaryDirectory(prefix="ritorno-spark-") as root:
            measured.append(measure(orders, Path(root)))
    last = measured[-1]
    for name in sorted(last, key=lambda name: -last[name].cpu)[:25]:
        table.add_row(name, *(cell for found in measured for cell in _cells(found[name])))
    totals = [_total(found) for found in measured]
    table.add_row("all", *(cell for total in totals for cell in _cells(total)), style="bold")
    Console(width=160).print(table)


def _cells(cost: Cost) -> list[str]:
    return [f"{cost.cpu:.1f}", f"{cost.shuffled / GB:.3f}", f"{cost.spilled / GB:.2f}", f"{cost.skew:.1f}"]


def _total(found: dict[str, Cost]) -> Cost:
    total = Cost()
    for cost in found.values():
        total.cpu += cost.cpu
        total.shuffled += cost.shuffled
        total.spilled += cost.spilled
        total.read += cost.read
    return total


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [200_000, 1_000_000])
