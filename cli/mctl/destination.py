# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an archive goes: standard output, or a file that has its name only when all of it is there."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from .failures import Failure, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

STDOUT = 1


def put_archive(file: str | None, write: Callable[[int], object]) -> None:
    """`write` is given the descriptor. None or -: standard output."""
    if file in (None, "-"):
        if os.isatty(STDOUT):
            raise UsageError("an archive is nothing for a terminal: give -o FILE, or redirect standard output")
        to_stdout(write)
        return
    assert file is not None
    if os.path.exists(file) and not os.path.isfile(file):  # /dev/null, a FIFO: nothing to be replaced
        raise UsageError(f"{file!r} is no file: redirect standard output to it")
    written = f"{file}.{os.urandom(8).hex()}.part"  # that nobody has put a link in place of
    output = opened(written, file)
    try:
        write(output)
        os.rename(written, file)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(written)
        raise
    finally:
        os.close(output)


def to_stdout(write: Callable[[int], object]) -> None:
    """Raises BrokenPipeError where nobody reads: as of any program in a pipe, this is then no failure to be told."""
    try:
        write(STDOUT)
    except Failure:
        if unread(STDOUT):
            raise BrokenPipeError from None
        raise


def unread(descriptor: int) -> bool:
    """Whether it is a pipe whose other side is closed."""
    import select

    poller = select.poll()
    poller.register(descriptor, 0)
    return any(events & select.POLLERR for _, events in poller.poll(0))


def opened(path: str, wanted: str) -> int:
    """A new file: what is `wanted`, and may be there, stays whole until the new one is."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot write to {wanted!r}: {reason}") from None
