"""A second process of a refresh, for what has nothing to do with dbt: the expectations' checks, and the report.

Great Expectations and the report's charts are four seconds of imports, and Python imports on one core. So a process is
started with the refresh, which imports them while this one reads the dbt project, and is asked for each stage's checks.
Where there is one core only, or `RITORNO_HELPER=0`, or the helper is gone, the work is done here.

It is asked over a pipe, and ends when the pipe does. It looks whether its parent still lives as well: what is killed
leaves nobody behind who holds the warehouse.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

WANTED = "RITORNO_HELPER"
"""Environment variable: 0 does everything in one process."""
PARENT_SECONDS = 0.2
AHEAD = ("great_expectations", "ritorno.report.draw")
"""What the helper imports while nobody asks it for anything: one before the first question, one after each answer."""

Given = ParamSpec("Given")
Found = TypeVar("Found")
log = logging.getLogger(__name__)
_helpers: list[Helper] = []


class Gone(Exception):  # noqa: N818
    """The helper does not answer."""


class Helper:
    """The other process."""

    def __init__(self, log_file: Path) -> None:
        with log_file.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ritorno.helper", *AHEAD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        """What the function of a module returns, or raises.

        Raises:
            Gone: nobody answers.
        """
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        try:
            _send(asked, (function.__module__, function.__qualname__, arguments, named))
            done, found = pickle.load(answers)
        except (OSError, EOFError, pickle.PickleError, ValueError) as error:
            raise Gone(f"{type(error).__name__}: {error}") from error
        if not done:
            raise found
        return found

    def end(self) -> None:
        """End it: whatever it was asked has been answered, or nobody waits for it any more."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()
        self._process.wait()


@contextmanager
def helping(log_file: Path) -> Iterator[None]:
    """Have a helper for the length of a block, if there is a core for it; what it complains of goes to the log file."""
    helper = Helper(log_file) if os.environ.get(WANTED) != "0" and _cores() > 1 else None
    if helper is not None:
        _helpers.append(helper)
    try:
        yield
    finally:
        if helper is not None:
            if helper in _helpers:
                _helpers.remove(helper)
            helper.end()


def helped(function: Callable[Given, Found], *arguments: Given.args, **named: Given.kwargs) -> Found:
    """What a module's function returns or raises: in the helper if there is one, else here."""
    if _helpers:
        try:
            found: Found = _helpers[-1].call(function, *arguments, **named)
            return found
        except Gone as error:
            log.warning("the helper process is gone (%s); going on without it", error)
            _helpers.clear()
    return function(*arguments, **named)


def collect_seldom() -> None:
    """Look for garbage every 100,000 objects, not every 700.

    dbt and Dagster make millions that stay: looking among them was a twelfth of a refresh's CPU, and found next to
    nothing.
    """
    gc.set_threshold(100_000, 20, 10)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _send(pipe: IO[bytes], message: Any) -> None:  # noqa: ANN401
    pipe.write(pickle.dumps(message))
    pipe.flush()


# --- in the other process


def serve(modules: Iterable[str]) -> None:
    """Answer until the pipe ends, importing these modules meanwhile."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupted refresh does
    collect_seldom()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # whoever prints must not answer
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    ahead = iter(modules)
    while True:
        _import_ahead(next(ahead, None))
        try:
            module, name, arguments, named = pickle.load(asked)
        except EOFError:
            return
        _send(answers, _answer(module, name, arguments, named))


def _answer(module: str, name: str, arguments: Any, named: Any) -> tuple[bool, Any]:  # noqa: ANN401
    try:
        found = getattr(importlib.import_module(module), name)(*arguments, **named)
        return True, found
    except Exception as error:
        return False, _sendable(error)


def _sendable(error: Exception) -> Exception:
    """The error itself if the other process can have it, else one that says the same."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception as cannot:
        log.debug("%r is told as text: %s", error, cannot)
    return RuntimeError(f"{type(error).__name__}: {error}")


def _import_ahead(module: str | None) -> None:
    if module is not None:
        try:
            from ritorno.quality.gx import quiet

            with quiet():
                importlib.import_module(module)
        except Exception:
            log.exception("%s can't be imported", module)  # who needs it will say so too


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    serve(sys.argv[1:])
