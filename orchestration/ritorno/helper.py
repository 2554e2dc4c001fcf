"""Two more processes of a refresh: one for the expectations' checks and the report, one for dbt.

Python runs on one core, so what doesn't need the other's objects is done beside it. Great Expectations and the report's
charts are four seconds of imports: a process is started with the refresh, which imports them while this one imports
Dagster, and is asked for each stage's checks. Another imports dbt, reads its project, and builds the stages; it tells
each node that it has finished, and Dagster stores what it is told while dbt goes on (ritorno.dbt_beside).
Where there is one core only, or `RITORNO_HELPER=0`, or a helper is gone, the work is done here.

A helper is asked over a pipe, and ends when the pipe does, and when its parent dies: what is killed leaves nobody
behind who holds the warehouse.
"""

from __future__ import annotations

import ctypes
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
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

WANTED = "RITORNO_HELPER"
"""Environment variable: 0 does everything in one process."""
CHECKS, DBT = "checks", "dbt"
AHEAD: Mapping[str, tuple[str, ...]] = {
    CHECKS: ("great_expectations", "ritorno.report.draw"),
    DBT: ("ritorno.dbt_beside",),
}
"""The helpers, with what each imports while nobody asks it: one before the first question, one after each answer."""
PARENT_SECONDS = 0.2
PIPE_BYTES = 2**20
"""What a helper may say before it has to wait until somebody listens: a stage's nodes."""
_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""

Given = ParamSpec("Given")
Found = TypeVar("Found")
log = logging.getLogger(__name__)
_helpers: dict[str, Helper] = {}


class Gone(Exception):  # noqa: N818
    """The helper does not answer."""


class Helper:
    """The other process."""

    def __init__(self, modules: Iterable[str]) -> None:
        self._unanswered = 0
        try:
            self._process = _process(modules, PIPE_BYTES)
        except OSError:  # more than this user may have
            self._process = _process(modules, -1)

    def begin(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        """Ask for something that `settle` waits for.

        Raises:
            Gone: nobody answers. So do the others.
        """
        self._ask(function, arguments, named)
        self._unanswered += 1

    def settle(self) -> Any:  # noqa: ANN401
        """Wait for what was begun: what the last of it returns, or the first error."""
        found = None
        while self._unanswered:
            self._unanswered -= 1
            found = _returned(self._answer())
        return found

    def follow(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Generator[Any, None, Any]:  # noqa: ANN401
        """What the function tells (`tell`) while it is at work, as it comes; returns what it returns, or raises it."""
        self.settle()
        self._ask(function, arguments, named)
        return (yield from self._answer())

    def _ask(self, function: Callable[..., Any], arguments: Any, named: Any) -> None:  # noqa: ANN401
        assert self._process.stdin is not None
        try:
            _send(self._process.stdin, (function.__module__, function.__qualname__, arguments, named))
        except (OSError, ValueError) as error:  # the pipe is broken, or closed
            raise self._gone(error) from error

    def _answer(self) -> Generator[Any, None, Any]:
        answers = self._process.stdout
        assert answers is not None
        kind = "told"
        try:
            while kind == "told":
                try:
                    kind, found = pickle.load(answers)
                except (OSError, EOFError, pickle.PickleError, ValueError) as error:
                    raise self._gone(error) from error
                if kind == "told":
                    yield found
        finally:
            if kind == "told":  # nobody listens any more, and it would go on
                self.end()
        if kind == "failed":
            raise found
        return found

    def _gone(self, error: Exception) -> Gone:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        return Gone(f"{type(error).__name__}: {error}, exit code {self._process.returncode}")

    def end(self) -> None:
        """End it: whatever it was asked has been answered, or nobody waits for it any more."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()
        self._process.wait()


def _process(modules: Iterable[str], pipe_bytes: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ritorno.helper", *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pipesize=pipe_bytes,
    )


def _returned(following: Generator[Any, None, Any]) -> Any:  # noqa: ANN401
    while True:
        try:
            next(following)
        except StopIteration as end:
            return end.value


@contextmanager
def started() -> Iterator[None]:
    """Have helpers for the length of a block, if there is a core for them. The sooner the sooner they have imported."""
    if not _helpers and os.environ.get(WANTED) != "0" and _cores() > 1:
        _helpers.update({name: Helper(modules) for name, modules in AHEAD.items()})
    try:
        yield
    finally:
        while _helpers:
            _helpers.popitem()[1].end()


@contextmanager
def helping(log_file: Path) -> Iterator[None]:
    """The same; what they complain of goes to the log file."""
    with started():
        for other in _helpers.values():
            with suppress(Gone):  # whoever needs it will find out
                other.begin(complain_in, log_file)
        yield


def helper(name: str) -> Helper | None:
    """The helper of this name, if there is one."""
    return _helpers.get(name)


def do_without(name: str, error: Gone) -> None:
    """Go on without a helper that is gone."""
    log.warning("the helper process for %s is gone (%s); going on without it", name, error)
    _helpers.pop(name).end()


def helped(function: Callable[Given, Found], *arguments: Given.args, **named: Given.kwargs) -> Found:
    """What a module's function returns or raises: in the helper for checks if there is one, else here."""
    return helped_by(CHECKS, lambda: None, function, *arguments, **named)


def helped_by(
    name: str,
    meanwhile: Callable[[], None],
    function: Callable[Given, Found],
    *arguments: Given.args,
    **named: Given.kwargs,
) -> Found:
    """The same in the helper of this name. `meanwhile` is done here while it is at work, and not without a helper."""
    other = helper(name)
    if other is not None:
        try:
            other.begin(function, *arguments, **named)
            meanwhile()
            found: Found = other.settle()
            return found
        except Gone as error:
            do_without(name, error)
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

_asked_by: list[IO[bytes]] = []
_telling = threading.Lock()


def tell(message: Any) -> None:  # noqa: ANN401
    """Tell who asked something before the answer is ready; from any thread."""
    with _telling:
        _send(_asked_by[-1], ("told", message))


def complain_in(log_file: Path) -> None:
    """Write to this file from now on what is printed, and errors."""
    with log_file.open("ab") as errors:
        os.dup2(errors.fileno(), 2)
        os.dup2(errors.fileno(), 1)


def serve(modules: Iterable[str]) -> None:
    """Answer until the pipe ends, importing these modules meanwhile."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupted refresh does
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    collect_seldom()
    sys.warnoptions.append("ignore:resource_tracker")  # dbt's semaphores are let go when we are ended, unasked
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # whoever prints must not answer
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    _asked_by.append(answers)
    ahead = iter(modules)
    while True:
        _import_ahead(next(ahead, None))
        try:
            module, name, arguments, named = pickle.load(asked)
        except EOFError:
            return
        _send(answers, _answer(module, name, arguments, named))


def _answer(module: str, name: str, arguments: Any, named: Any) -> tuple[str, Any]:  # noqa: ANN401
    try:
        found = getattr(importlib.import_module(module), name)(*arguments, **named)
        return "done", found
    except Exception as error:
        return "failed", _sendable(error)


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
            from ritorno.quality.gx import quiet  # what nobody reads, and pyspark

            with quiet():
                importlib.import_module(module)
        except Exception:
            log.exception("%s can't be imported", module)  # who needs it will say so too


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    from ritorno.helper import serve as serve_under_its_name  # what is asked imports this module, not __main__

    serve_under_its_name(sys.argv[1:])
