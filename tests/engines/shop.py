"""A simulated shop with all the dirt there is, which every engine must read alike."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

END = date(2025, 6, 30)
ODD = [
    *["now", "today", "tomorrow", "epoch", "infinity", "-infinity", "NaN", "Jan 5 2024", "20240105", "2024-02-30"],
    *["2024-02-29", "2024-1-5", "2024-01-05T10:00", "2024-01-05 10:00:00.123456+02", "2024-01-05T10:00:00Z", "12:00"],
    *["1e3", "1.5e1", "12,5", ".5", "5.", "+7", "--7", "0x10", " 3 ", "3.7", "1_000", "inf", "12345678901234567890"],
    *["true", "t", "TRUE", "yes", "ja", "0", "{}", '{"a": 1}', '{"a": }', "null", "99999999999999999.9999"],
]
"""What people type into date, number and other columns, and what one of the engines is known to read as more."""


def dirty_shop(folder: Path) -> Path:
    """The raw files of 200 customers of a year, with odd texts in every typed column of orders."""
    from ritorno.simulate import simulate

    raw = simulate(folder, customers=200, seed=5, years=1.0, end=END).raw
    odd = ["order_id,ordered_at,total,is_test,cancelled_at"]
    for number, text in enumerate(ODD):  # unreadable on one engine must be unreadable on the other
        quoted = '"' + text.replace('"', '""') + '"'
        odd += [
            f"time-{number},{quoted},10,,",
            f"total-{number},2025-06-01,{quoted},,",
            f"test-{number},2025-06-01,10,{quoted},",
            f"cancelled-{number},2025-06-01,10,,{quoted}",
        ]
    (raw / "orders" / "zz-odd.csv").write_text("\n".join(odd) + "\n", encoding="utf-8")
    return raw


def refreshed(raw: Path, home: Path, engine: str) -> Path:
    """Refresh a new home on an engine; returns the file that it published."""
    command = ["refresh", "--raw", str(raw), "--as-of", END.isoformat(), "--home", str(home), "--engine", engine]
    command += ["--vars", '{"quarantine_limit": 0.9}']  # most of the odd rows are unreadable on purpose
    done = subprocess.run(
        [sys.executable, "-c", "from ritorno.cli import main; main()", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "published" / "ritorno.duckdb"
