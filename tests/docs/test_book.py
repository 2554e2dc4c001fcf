"""README and docs say what is so: links lead somewhere, commands parse, queries run, no mart is left out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
import typer

from bi import serve
from docs import book
from ritorno.cli import app
from ritorno.home import PROJECT_ROOT, Home
from ritorno.publishing import FILE_FOR_BI
from tests.report.shop import real_home, shared_folder

PAGES = book.pages()
IDS = [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert book.broken_links(page) == []


def test_a_link_to_nowhere_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# One, two\n[a](gone.md) [b](#one-two) [c](#three) `[d](e.md)` [f](../f.md)\n", encoding="utf-8")
    assert book.broken_links(page) == ["gone.md", "#three", "../f.md"]


def test_the_book_has_every_page_and_its_own_links_lead_somewhere(tmp_path: Path) -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in book.write_book(tmp_path)}
    assert set(written) == {book.name(page) for page in PAGES}
    for name, text in written.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            path, _, heading = link.partition("#")
            if path.startswith("http") or path == book.DBT_DOCS:
                continue
            assert not path or (tmp_path / path).exists(), f"{name}: {link}"
            if heading and (path or name) in written:
                assert f'id="{heading}"' in written[path or name], f"{name}: {link}"


def _commands(page: Path) -> Iterator[str]:
    """Lines of code that call ritorno, without comments and what cron puts before them."""
    for line in page.read_text(encoding="utf-8").splitlines():
        found = re.match(r"^(?: {4}|\$ )?(?:[\d*/]+ +[\d*]+ +\* +\* +\* +)?(?:\S*/)?(ritorno [a-z].*)$", line)
        if found and line.startswith((" ", "ritorno")):
            yield re.split(r"\s{2,}#|\s# ", found[1])[0].strip()
    yield from (
        code for code in re.findall(r"`(ritorno [a-z][^`\n]*)`", page.read_text(encoding="utf-8")) if "…" not in code
    )


COMMANDS = sorted({(page.name, command) for page in PAGES for command in _commands(page)})


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}: {command}" for page, command in COMMANDS])
def test_a_command_of_a_page_is_one_that_there_is_with_these_options(page: str, command: str) -> None:
    _parse(command)


def test_pages_show_commands() -> None:
    assert len(COMMANDS) > 30
    assert ("operating.md", "ritorno refresh --raw exports/ --accept-drift") in COMMANDS


@pytest.mark.parametrize("command", ["ritorno refresch", "ritorno refresh --backdated", "ritorno segment dif at_risk"])
def test_a_command_that_there_is_not_is_found(command: str) -> None:
    with pytest.raises(AssertionError):
        _parse(command)


def _parse(command: str) -> None:
    """Parse it as the program would, and call nothing. A command may be named without its arguments."""
    words = shlex.split(command)[1:]
    current: Any = typer.main.get_command(app)
    context = click.Context(current, info_name="ritorno")
    while words and hasattr(current, "get_command"):
        found = current.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]}"
        current, words = found, words[1:]
        context = click.Context(current, info_name=current.name, parent=context)
    try:
        current.make_context(current.name, words, parent=context.parent)
    except Exception as error:  # typer brings its own copy of click's exceptions
        if type(error).__name__ not in {"MissingParameter", "NoArgsIsHelpError"}:
            raise AssertionError(f"{command}: {error}") from error


OTHERS = re.compile(
    r"^(?: {4}|.*?`)(?:[A-Z_]+=\S+ )?(?:\.venv/bin/)?((?:make|dbt|mf|python -m) [a-z][^#`\n]*)", re.MULTILINE
)
OTHER_COMMANDS = sorted(
    {(page.name, found.strip()) for page in PAGES for found in OTHERS.findall(page.read_text("utf-8"))}
)


@pytest.mark.parametrize(("page", "command"), OTHER_COMMANDS, ids=[f"{page}: {text}" for page, text in OTHER_COMMANDS])
def test_a_command_of_another_program_is_one_that_it_has(page: str, command: str) -> None:
    _understood(command)


def test_pages_show_commands_of_other_programs() -> None:
    assert {command.split()[0] for _, command in OTHER_COMMANDS} == {"make", "dbt", "mf", "python"}
    assert ("adding-a-metric.md", "mf list metrics") in OTHER_COMMANDS


@pytest.mark.parametrize(
    "command", ["make demos", "dbt biuld", "dbt build --selekt x", "mf query --metric x", "python -m bi.serve --hom x"]
)
def test_a_command_that_another_program_has_not_is_found(command: str) -> None:
    with pytest.raises((AssertionError, click.ClickException, SystemExit)):
        _understood(command)


def _understood(command: str) -> None:
    """Parsed as its program would, and nothing called."""
    program, *words = shlex.split(command)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert {word for word in words if "=" not in word} <= set(targets)
    elif program == "python":
        module, arguments = words[1], words[2:]
        assert (PROJECT_ROOT / f"{module.replace('.', '/')}.py").is_file()
        if module == "bi.serve":
            serve.parser().parse_args(arguments)
    else:
        from dbt.cli.main import cli as dbt
        from dbt_metricflow.cli.main import cli as mf

        group: Any = {"dbt": dbt, "mf": mf}[program]
        context = click.Context(group, info_name=program)
        while words and hasattr(group, "get_command"):
            found = group.get_command(context, words[0])
            assert found is not None, f"{program} has no {words[0]}"
            group, words = found, words[1:]
            context = click.Context(group, info_name=group.name, parent=context)
        group.make_parser(context).parse_args(args=words)


def _queries() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        if page.name == "metrics.md":
            continue  # test_examples runs those, on rows of their own
        for block in re.findall(
            r"^```sql[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            for number, query in enumerate(filter(str.strip, block.split(";"))):
                yield f"{page.name} {number}", query


QUERIES = dict(_queries())


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return real_home(shared_folder(tmp_path_factory))


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_of_a_page_runs_on_the_published_file_and_says_something(name: str, home: Home) -> None:
    with duckdb.connect(str(home.published / FILE_FOR_BI), read_only=True) as con:
        assert con.execute(QUERIES[name]).fetchall()


def test_the_readme_tells_of_every_mart_and_of_none_that_is_gone() -> None:
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("## The marts, and what they answer")[1].split("\n## ")[0]
    told = [name for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(told) == sorted(path.stem for path in (PROJECT_ROOT / "models" / "marts").rglob("*.sql"))


def test_the_page_of_metrics_names_metrics_that_there_are() -> None:
    page = (PROJECT_ROOT / "docs" / "adding-a-metric.md").read_text(encoding="utf-8")
    defined = set(
        re.findall(r"^  - name: (\w+)", (PROJECT_ROOT / "models/metrics/_metrics.yml").read_text("utf-8"), re.MULTILINE)
    )
    table = [row.split("|")[1] for row in page.splitlines() if row.startswith("| `")]
    named = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    asked = {name for names in re.findall(r"--metrics (\S+)", page) for name in names.split(",")}
    assert named | asked <= defined
