"""What tests ask the helper process to do: it finds functions by their module."""

from __future__ import annotations

import os
import sys
import threading
import time
from multiprocessing.util import _args_from_interpreter_flags  # type: ignore[attr-defined]
from pathlib import Path

from ritorno.errors import UnusableInput
from ritorno.helper import tell


class OddError(Exception):
    """Can't be told from one process to another."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def pid(*arguments: int, **named: int) -> tuple[int, tuple[int, ...], dict[str, int]]:
    print("printing answers nobody")
    return os.getpid(), arguments, named


def refuse(what: str) -> None:
    raise UnusableInput(what)


def be_odd() -> None:
    raise OddError(1, 2)


def flags_of_its_own_processes() -> list[str]:
    found: list[str] = _args_from_interpreter_flags()
    return found


def leave() -> None:
    os._exit(3)


def complain() -> None:
    print("a complaint", file=sys.stderr)


def tell_and_wait(until: Path) -> str:
    for what in ("one", "two"):
        threading.Thread(target=tell, args=(what,)).start()
    while not until.exists():
        time.sleep(0.01)
    return "done"


def sleep(seconds: float) -> None:
    time.sleep(seconds)
