"""`make docs`: README and docs/*.md as a small book, and dbt's own documentation beside it, to open from disk.

    python -m docs.book site

Nothing is fetched. dbt's part shows the columns of the warehouse of RITORNO_HOME (or ./var) if there is one, and those
that the contracts declare if there is none.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

from ritorno.dbt import DbtProject, environment
from ritorno.home import Home

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS: dict[str, tuple[str, ...]] = {
    "Concepts": ("README.md", "docs/metrics.md", "docs/subscriptions.md", "docs/segments.md", "docs/audiences.md"),
    "Reading": ("docs/report.md", "docs/bi.md"),
    "Adding": ("docs/adding-a-source.md", "docs/adding-a-metric.md", "docs/destinations.md", "docs/engines.md"),
    "Operating": ("docs/operating.md", "docs/decisions.md"),
}
DBT_DOCS = "dbt.html"
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_STYLE = """
:root { color-scheme: light dark } body { margin: 0; font: 16px/1.55 system-ui, sans-serif; display: flex;
flex-wrap: wrap }
nav { flex: 0 0 15rem; padding: 1.5rem } main { flex: 1 1 20rem; min-width: 0; max-width: 60rem; padding: 1.5rem }
nav h2 { font-size: .8rem; text-transform: uppercase; letter-spacing: .05em; margin: 1.2rem 0 .3rem }
nav a { display: block; padding: .15rem 0; text-decoration: none } nav a[aria-current] { font-weight: 700 }
pre { overflow-x: auto; padding: .8rem; border: 1px solid #8886; border-radius: 6px } code { font-size: .9em }
table { border-collapse: collapse; display: block; overflow-x: auto } td, th { border: 1px solid #8886; padding: .3rem
.6rem; text-align: left; vertical-align: top } img { max-width: 100% }
"""


def pages() -> list[Path]:
    """Every page of the book, in its order, then those that no part names."""
    named = [ROOT / page for part in CHAPTERS.values() for page in part]
    return [*named, *sorted(set((ROOT / "docs").glob("*.md")) - set(named))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {anchor(title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def anchor(title: str) -> str:
    """A heading's anchor: lower case, without punctuation, words joined by hyphens."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def links(page: Path) -> Iterator[str]:
    """What a page links to, outside of code."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from _LINK.findall(text)


def broken_links(page: Path) -> list[str]:
    """Links of a page to files or headings that aren't there."""
    return [link for link in links(page) if not link.startswith(("http://", "https://")) and not _leads(page, link)]


def _leads(page: Path, link: str) -> bool:
    path, _, heading = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not heading or (target.suffix == ".md" and heading in anchors(target))


def title(page: Path) -> str:
    """The page's first heading."""
    found = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else page.stem


def name(page: Path) -> str:
    """The page's file in the book."""
    return "index.html" if page.name == "README.md" else f"{page.stem}.html"


def render(page: Path, site: Path) -> str:
    """A page of the book."""
    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(page.read_text(encoding="utf-8"))
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", anchor(inline.content))
        for child in inline.children or []:
            if child.type == "link_open":
                child.attrSet("href", _rewritten(page, str(child.attrs["href"]), site))
            if child.type == "image":
                child.attrSet("src", f"images/{Path(str(child.attrs['src'])).name}")
    body = markdown.renderer.render(tokens, markdown.options, {})
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title(page))}</title><style>{_STYLE}</style>"
        f'<body><nav aria-label="Chapters">{_navigation(page)}</nav><main>{body}</main></body></html>\n'
    )


def _rewritten(page: Path, link: str, site: Path) -> str:
    path, hash_, heading = link.partition("#")
    if not path or link.startswith(("http://", "https://")):
        return link
    target = (page.parent / path).resolve()
    if target in pages():
        return f"{name(target)}{hash_}{heading}"
    return f"{Path(os.path.relpath(target, site)).as_posix()}{hash_}{heading}"


def _navigation(current: Path) -> str:
    listed = {ROOT / page for part in CHAPTERS.values() for page in part}
    parts = {**{part: [ROOT / page for page in some] for part, some in CHAPTERS.items()}}
    more = [page for page in pages() if page not in listed]
    if more:
        parts["More"] = more
    entries = "".join(
        f"<h2>{part}</h2>"
        + "".join(
            f'<a href="{name(page)}"{" aria-current=page" if page == current else ""}>{escape(title(page))}</a>'
            for page in some
        )
        for part, some in parts.items()
    )
    return f'{entries}<h2>Reference</h2><a href="{DBT_DOCS}">Every model and column (dbt docs)</a>'


def write_book(site: Path) -> list[Path]:
    """Write the book's pages; returns them."""
    site.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "docs" / "images", site / "images", dirs_exist_ok=True)
    written = []
    for page in pages():
        written.append(site / name(page))
        written[-1].write_text(render(page, site), encoding="utf-8")
    return written


def write_dbt_docs(site: Path) -> Path:
    """dbt's documentation as one file."""
    from dbt.cli.main import dbtRunner

    home = Path(os.environ.get("RITORNO_HOME") or ROOT / "var").resolve()
    with tempfile.TemporaryDirectory(prefix="ritorno-docs-") as scratch:
        built = (home / "warehouse.duckdb").exists()
        project = DbtProject(Home.at(home if built else scratch))
        command = ["--quiet", "docs", "generate", "--static", "--project-dir", str(ROOT), "--profiles-dir", str(ROOT)]
        command += ["--target-path", f"{scratch}/target", "--log-path", f"{scratch}/logs"]
        command += [] if built else ["--empty-catalog"]
        parsed = project.parsed  # the refreshes'
        with environment({"RITORNO_HOME": str(project.home.root), "DBT_TARGET_PATH": ""}):
            done = dbtRunner(manifest=parsed).invoke(command)
        if not done.success:
            sys.exit(f"dbt can't write its documentation: {done.exception or 'see above'}")
        return Path(shutil.copy(Path(scratch, "target", "static_index.html"), site / DBT_DOCS))


def main(site: Path) -> None:
    """Check the links, write the book, write dbt's documentation."""
    broken = {page.name: found for page in pages() if (found := broken_links(page))}
    if broken:
        sys.exit(f"links that lead nowhere: {broken}")
    write_book(site)
    write_dbt_docs(site)
    print(f"{site / 'index.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "site").resolve())
