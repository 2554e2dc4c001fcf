"""Adding a segment is adding a file: a copy of the project gets one SQL file and one YAML, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ritorno.dbt import DbtProject
from ritorno.home import PROJECT_ROOT, Home

PROJECT = ("models", "macros", "seeds", "snapshots", "orchestration", "tests/__init__.py", "tests/support",
           "dbt_project.yml", "profiles.yml")  # fmt: skip

SQL = """
with people as (

    select * from {{ ref('int_segments__people') }}

),

customers as (

    select * from {{ ref('customers') }}

),

final as (

    select
        cast(customers.customer_key as {{ type_string() }}) as customer_key,
        cast('Ordered once.' as {{ type_string() }}) as reason
    from customers
    inner join people on customers.customer_key = people.customer_key
    where customers.orders = 1

)

select * from final
"""

YAML = """
version: 2

models:
  - name: ordered_once
    description: "One row per customer with one valid order."
    config:
      meta:
        grain: [customer_key]
        segment: {owner: crm, purpose: retention}
    columns:
      - {name: customer_key, data_type: varchar, description: "The customer."}
      - {name: reason, data_type: varchar, description: "Why."}
"""

# What `ritorno refresh` does between raw tables and segment marts, in the copy, by the copy's own code.
SCRIPT = """
import json, sys
from datetime import date
from pathlib import Path
import ritorno.home
from ritorno.home import Home
from ritorno.segments import store, terminal
from tests.support import Project

assert Path(ritorno.home.PROJECT_ROOT) == Path(sys.argv[1]), ritorno.home.PROJECT_ROOT
home = Home(Path(sys.argv[2])).ensure()
project = Project.compile()
orders = [("1", "anna", "2026-06-01"), ("2", "anna", "2026-06-10"), ("3", "ben", "2026-06-02")]
con = project.connect({
    "customers": [{"customer_id": one, "email": f"{one}@example.org", "created_at": "2026-01-01T09:00:00Z"}
                  for one in ("anna", "ben")],
    "orders": [{"order_id": number, "customer_id": one, "ordered_at": f"{day}T10:00:00Z", "total": "50",
                "currency": "EUR", "status": "paid"} for number, one, day in orders],
})
project.run(con, "segment_membership", "segment_history", "segment_sizes", as_of=date(2026, 6, 20))
seen = {
    name: con.execute(f"select {columns} from marts.{name} where segment = 'ordered_once'").fetchall()
    for name, columns in {
        "segment_membership": "reason, entered_on",
        "segment_history": "enter_reason, entered_on, left_on",
        "segment_sizes": "opening, entered, size, people",
    }.items()
}
folder = home.runs / "run-1"
folder.mkdir(parents=True)
home.published.symlink_to(folder)
con.execute(f"attach '{folder / 'marts.duckdb'}' as published; create schema published.marts;"
            "create table published.marts.segment_sizes as from marts.segment_sizes; detach published")


class Parsed:
    def __init__(self, home): pass
    def manifest(self): return project.manifest


terminal.DbtProject = Parsed  # parsed above; a second time would cost ten seconds
listed = [row for row in terminal.listed(home) if row["segment"] == "ordered_once"]
print("RESULT" + json.dumps({"seen": seen, "listed": listed}, default=str))
"""


@pytest.mark.slow(25)
def test_a_new_file_is_a_new_segment_everywhere_with_nothing_else_edited(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    for name in PROJECT:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        source = PROJECT_ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, copy / name, ignore=ignored) if source.is_dir() else shutil.copy(source, copy / name)
    (copy / "models/segments/ordered_once.sql").write_text(SQL, encoding="utf-8")
    (copy / "models/segments/_ordered_once.yml").write_text(YAML, encoding="utf-8")
    parsed = DbtProject(Home(tmp_path / "home"))
    parsed.manifest()
    target = tmp_path / "target"  # the checkout's is no place for another project, which dbt parses where it differs
    target.mkdir()
    shutil.copy(parsed.target / "partial_parse.msgpack", target)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{copy / 'orchestration'}{os.pathsep}{copy}",
        "DBT_TARGET_PATH": str(target),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(copy), str(tmp_path / "home")],
        cwd=copy, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.split("RESULT")[1])
    assert result["seen"] == {
        "segment_membership": [["Ordered once.", "2026-06-20"]],
        "segment_history": [["Ordered once.", "2026-06-20", None]],
        "segment_sizes": [[0, 1, 1, 2]],
    }
    (row,) = result["listed"]
    assert (row["owner"], row["purpose"], row["size"], row["entered"]) == ("crm", "retention", 1, 1)
