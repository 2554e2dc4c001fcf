"""`make superset`: Apache Superset on this machine, with Ritorno's dashboards, over a published home or a PostgreSQL.

    python -m bi.serve                                        # ./var, http://127.0.0.1:8088
    python -m bi.serve --home /srv/ritorno --port 8090
    python -m bi.serve --database postgresql+psycopg2://bi:secret@db.example.com/shop
    python -m bi.serve --bundle dashboards.zip                # only the file to import into a Superset of yours

Superset is installed from PyPI by its own lock file, into ~/.cache/ritorno (900 MB, once). What it writes, users and
edits of dashboards, stands in `superset/` of the home.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml
from filelock import FileLock

from ritorno.home import Home
from ritorno.publishing import FILE_FOR_BI

HERE = Path(__file__).resolve().parent
BUNDLE = HERE / "superset"
LOCK = BUNDLE / "requirements.lock"
DATABASE = "databases/Ritorno.yaml"
FOLDERS = ("databases", "datasets", "charts", "dashboards")
MARTS, PUBLISHED = "marts", "published"
"""Where the marts are in the published file, and in PostgreSQL (docs/engines.md)."""
FIRST_PAGE = "/superset/dashboard/ritorno-overview/"


class NoSupersetError(Exception):
    """Superset can't be had or doesn't start; the message says why."""


# ---------------------------------------------------------------- the environment


def environment(cache: Path | None = None) -> Path:
    """Superset's Python, installed by the lock file if it isn't there yet; one per lock file and version of Python."""
    python = _python()
    version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[-1]
    name = f"superset-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}-py{version}"
    folder = (cache or _cache()) / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = folder / "bin" / "python"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / ".ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            uv = str(Path(sys.executable).with_name("uv"))
            _run([uv, "venv", "--quiet", "--python", python, str(folder)], "make an environment")
            install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--require-hashes", "-r", str(LOCK)]
            _run([*install, "--python", str(made)], "install Superset from PyPI")
            (folder / ".ready").touch()
    return made


def _python() -> str:
    """A Python that Superset's dependencies have wheels for: up to 3.12."""
    here = sys.executable if sys.version_info[:2] in ((3, 11), (3, 12)) else None
    found = here or next((path for name in ("python3.12", "python3.11") if (path := shutil.which(name))), None)
    if found is None:
        raise NoSupersetError("Superset 6.1 needs Python 3.11 or 3.12 (its pandas and numpy have no wheels for 3.13)")
    return found


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ritorno"


def _run(command: list[str], what: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise NoSupersetError(f"could not {what}: {(done.stderr or done.stdout).strip()[-3000:]}")


# ---------------------------------------------------------------- the dashboards


def file_address(home: Home) -> str:
    """How Superset opens the published file: through the pointer, so that each new run is found."""
    return f"duckdb:///{home.published.absolute() / FILE_FOR_BI}"


def schema_of(address: str) -> str:
    """Where the marts are behind an address."""
    return PUBLISHED if address.startswith("postgresql") else MARTS


def datasets(schema: str = MARTS) -> dict[str, str]:
    """The SQL of every dataset, by name, on this schema."""
    files = sorted((BUNDLE / "datasets").rglob("*.yaml"))
    contents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    return {content["table_name"]: in_schema(content["sql"], schema) for content in contents}


def in_schema(sql: str, schema: str) -> str:
    """The query on marts in another schema: the one word in which the file and PostgreSQL differ."""
    return re.sub(rf"\b{MARTS}\.(?=\w)", f"{schema}.", sql)


def bundle(address: str, kind: str = "assets") -> bytes:
    """The dashboards as a file that Superset imports, over the database at `address`.

    Args:
        address: SQLAlchemy's, as Superset's form asks for it.
        kind: `assets` overwrites what an earlier import made; `Dashboard` is what the button in the list of dashboards
            takes, which keeps charts and datasets that are there.
    """
    schema = schema_of(address)
    metadata = {**yaml.safe_load((BUNDLE / "metadata.yaml").read_text(encoding="utf-8")), "type": kind}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ritorno/metadata.yaml", yaml.safe_dump(metadata))
        for file in sorted(file for folder in FOLDERS for file in (BUNDLE / folder).rglob("*.yaml")):
            name = file.relative_to(BUNDLE).as_posix()
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            if name == DATABASE:
                content["sqlalchemy_uri"] = address
                if schema != MARTS:  # PostgreSQL's driver doesn't know `read_only`
                    content["extra"].pop("engine_params", None)
            elif name.startswith("datasets/"):
                content |= {"schema": schema, "sql": in_schema(content["sql"], schema)}
            archive.writestr(f"ritorno/{name}", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return packed.getvalue()


# ---------------------------------------------------------------- the server


@contextmanager
def serving(folder: Path, address: str, port: int, password: str = "", cache: Path | None = None) -> Iterator[str]:
    """Superset over the database at `address`, on 127.0.0.1, until the block ends; gives its URL.

    Args:
        folder: where it keeps its metadata, log and secret.
        address: of the database with the marts.
        port: to listen on.
        password: of the user `admin`; empty leaves an existing one as it is.
        cache: where environments are kept, if not in ~/.cache/ritorno.
    """
    _refuse_taken(port)
    python = environment(cache)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = _settings(folder, python)
    _prepare(folder, python, settings, address, password)
    url = f"http://127.0.0.1:{port}"
    command = [str(python), "-m", "gunicorn", "--workers", "1", "--worker-class", "gthread", "--threads", "8"]
    command += [
        "--no-control-socket",
        "--keep-alive",
        "75",
        "--timeout",
        "120",
        "--bind",
        f"127.0.0.1:{port}",
        "superset.app:create_app()",
    ]
    with (folder / "superset.log").open("ab") as log:
        server = subprocess.Popen(command, env=settings, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(url, server, folder / "superset.log")
            yield url
        finally:
            _end(server)


def _refuse_taken(port: int) -> None:
    """Somebody else's answer on this port would be taken for ours."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn does
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            raise NoSupersetError(f"port {port} can't be had ({error.strerror}): --port takes another") from error


def _settings(folder: Path, python: Path) -> dict[str, str]:
    secret = folder / "secret"
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(42), encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SUPERSET", "FLASK"))}
    return {
        **kept,
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "SUPERSET_CONFIG_PATH": str(HERE / "superset_config.py"),
        "SUPERSET_HOME": str(folder),
        "RITORNO_SUPERSET_FOLDER": str(folder),
        "FLASK_APP": "superset.app:create_app()",
        "SCARF_ANALYTICS": "false",
    }


def _prepare(folder: Path, python: Path, settings: dict[str, str], address: str, password: str) -> None:
    """Metadata of this version of Superset, the administrator, and the dashboards."""
    metadata, version = folder / "superset.db", folder / "version"
    ready = python.parent.parent.name
    prepare = [str(python), str(HERE / "prepare.py")]
    if not metadata.exists():
        shutil.copy(_empty_metadata(python, settings), metadata)
    elif not version.exists() or version.read_text(encoding="utf-8") != ready:
        _run([*prepare, "empty"], "upgrade Superset's metadata", settings)
    zipped = folder / "dashboards.zip"
    zipped.touch(mode=0o600)  # a password may stand in the address
    zipped.write_bytes(bundle(address))
    # by the environment: everybody on the machine sees a command's arguments
    _run([*prepare, "fill", str(zipped)], "import the dashboards", {**settings, "RITORNO_SUPERSET_PASSWORD": password})
    zipped.unlink()
    version.write_text(ready, encoding="utf-8")  # last: who is interrupted before has no administrator yet


def _empty_metadata(python: Path, settings: dict[str, str]) -> Path:
    """A migrated metadata database without users, made once an environment: its 200 migrations take 10 s."""
    kept = python.parent.parent / "metadata"
    with FileLock(kept.with_suffix(".lock")):
        if not (kept / ".ready").exists():
            kept.mkdir(exist_ok=True)
            (kept / "superset.db").unlink(missing_ok=True)
            shutil.copy(Path(settings["RITORNO_SUPERSET_FOLDER"]) / "secret", kept / "secret")
            own = {**settings, "RITORNO_SUPERSET_FOLDER": str(kept), "SUPERSET_HOME": str(kept)}
            _run([str(python), str(HERE / "prepare.py"), "empty"], "make Superset's metadata", own)
            (kept / "secret").unlink()
            (kept / ".ready").touch()
    return kept / "superset.db"


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path, seconds: int = 180) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    said = log.read_text(encoding="utf-8", errors="replace")[-1500:]
    raise NoSupersetError(f"Superset did not start at {url}; it said:\n{said}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ask, then tell; it has workers."""
    for signalled in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, signalled)
            server.wait(timeout=10)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


# ---------------------------------------------------------------- the command


def parser() -> argparse.ArgumentParser:
    """What the command understands; no abbreviations, which would change their meaning with the next option."""
    made = argparse.ArgumentParser(
        prog="python -m bi.serve", description="Superset with Ritorno's dashboards.", allow_abbrev=False
    )
    made.add_argument("--home", help="the home whose published run to show (RITORNO_HOME, ./var)")
    made.add_argument("--database", help="a PostgreSQL with schema `published`, as a SQLAlchemy address")
    made.add_argument("--port", type=int, default=8088)
    made.add_argument("--bundle", type=Path, help="write the file to import into a Superset of yours, start nothing")
    return made


def main(arguments: list[str] | None = None) -> None:
    """Start Superset, say where it is and who may enter, until interrupted."""
    given = parser().parse_args(arguments)
    home = Home.at(given.home)
    address = given.database or file_address(home)
    if given.bundle:
        given.bundle.touch(mode=0o600)  # a password may stand in the address
        given.bundle.write_bytes(bundle(address, "Dashboard"))
        print(f"{given.bundle}: import it in Superset, Dashboards, Import")
        return
    if not given.database and not (home.published / FILE_FOR_BI).exists():
        sys.exit(f"nothing is published in {home.root}: make demo, or ritorno refresh, or --home")
    folder = home.root / "superset"
    password = os.environ.get("SUPERSET_ADMIN_PASSWORD", "")
    fresh = not (folder / "version").exists()
    told = password or (secrets.token_urlsafe(12) if fresh else "")
    print("Superset starts (the first time it is installed: a few minutes) …", flush=True)
    try:
        with serving(folder, address, given.port, told) as url:
            print(f"{url}{FIRST_PAGE}")
            print(_who(told if fresh and not password else "", bool(password)), flush=True)
            _until_told()
    except NoSupersetError as error:
        sys.exit(str(error))


def _until_told() -> None:
    """Wait for Ctrl-C or a request to end; the server is ended on the way out."""
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    told.wait()


def _who(invented: str, given: bool) -> str:
    if invented:
        return f"user admin, password {invented} (said this once; SUPERSET_ADMIN_PASSWORD sets another)"
    return f"user admin, password {'of SUPERSET_ADMIN_PASSWORD' if given else 'as before'}"


if __name__ == "__main__":
    main()
