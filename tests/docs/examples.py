"""Worked examples of docs/metrics.md: raw rows, a query, and what it says, run on the project's own SQL.

python -m tests.docs.examples       # writes the answers into the page, after a change of its rows or queries
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ritorno.home import PROJECT_ROOT
from tests.support import Project

PAGE = PROJECT_ROOT / "docs" / "metrics.md"
_FENCE = re.compile(r"^```(?P<info>[^\n]+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A query of a section, over the rows that the section gave before it."""

    section: str
    number: int
    as_of: str
    raw: dict[str, list[dict[str, str | None]]]
    sql: str
    says: str
    span: tuple[int, int]
    """Where the answer stands in the page."""

    @property
    def name(self) -> str:
        return f"{self.section}, {self.number}"


def examples(page: Path = PAGE) -> Iterator[Example]:
    """All of the page, in order; a query without an answer below it is an error."""
    text = page.read_text(encoding="utf-8")
    heads = [(match.start(), match[1]) for match in re.finditer(r"^## (.+)$", text, re.MULTILINE)]
    raw: dict[str, list[dict[str, str | None]]] = {}
    section, number, query = "", 0, None
    for fence in _FENCE.finditer(text):
        current = [title for start, title in heads if start < fence.start()][-1]
        if current != section:
            assert query is None, f"{section}: a query without an answer"
            section, number, raw = current, 0, {}
        kind, *words = fence["info"].split()
        if kind == "csv":
            raw = {**raw, words[0]: _rows(fence["body"])}
        elif kind == "sql":
            query = (fence["body"], words[0].removeprefix("as-of="))
        elif kind == "text":
            assert query is not None, f"{section}: an answer without a query"
            number += 1
            yield Example(section, number, query[1], raw, query[0], fence["body"].strip(), fence.span("body"))
            query = None
    assert query is None, f"{section}: a query without an answer"


def _rows(text: str) -> list[dict[str, str | None]]:
    return [{name: value or None for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))]


def answer(example: Example, project: Project) -> str:
    """What the query says, on the marts that it reads."""
    con = project.connect(example.raw)
    marts = re.findall(r"\bmarts\.(\w+)", example.sql)
    project.run(con, *dict.fromkeys(marts), as_of=example.as_of)
    cursor = con.execute(example.sql)
    names = [column[0] for column in cursor.description or []]
    rows = [names, *([_shown(value) for value in row] for row in cursor.fetchall())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(names))]
    return "\n".join(" | ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def rewrite(page: Path = PAGE) -> None:
    """Write the answers of now into the page."""
    project = Project.compile()
    text = page.read_text(encoding="utf-8")
    for example in reversed(list(examples(page))):
        start, end = example.span
        text = f"{text[:start]}{answer(example, project)}\n{text[end:]}"
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    rewrite()
