"""Who may write a home: one refresh at a time, whoever started it (a shell, cron, Dagster's daemon)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from ritorno.errors import RefreshRunning
from ritorno.home import Home


@contextmanager
def hold(home: Home, *, wait: bool = True, on_wait: Callable[[str], None] = lambda message: None) -> Iterator[None]:
    """Hold the home's lock for a block. The operating system frees it when the process ends, however it ends.

    Args:
        home: whose.
        wait: whether to wait while another refresh runs.
        on_wait: told once when waiting begins.

    Raises:
        RefreshRunning: another refresh runs and `wait` is false.
    """
    home.ensure()
    lock = FileLock(home.lock, is_singleton=True, thread_local=False)  # the same process may take it twice
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise RefreshRunning(
                f"another refresh is running in {home.root}; nothing was done. Run it again later, or without --no-wait"
            ) from None
        on_wait(f"another refresh is running in {home.root}: waiting for it to end")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
