"""Errors that a user can act on. The command line turns them into one message and an exit code."""


class RitornoError(Exception):
    """Something a user can mend; the message names what, where and how.

    Attributes:
        exit_code: what the `ritorno` command ends with (0 done, 1 a check stopped it, 2 unusable input).
    """

    exit_code = 2


class UnusableInput(RitornoError):  # noqa: N818  a noun people read, not an exception hierarchy
    """A file, table, policy value or argument can't be used; nothing was changed."""


class CheckFailed(RitornoError):  # noqa: N818
    """A check stopped the run; the last published state stays."""

    exit_code = 1


class RefreshRunning(RitornoError):  # noqa: N818
    """Another refresh holds this home and did not end within the time given."""

    exit_code = 1
