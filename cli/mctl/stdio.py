# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the caller's goes into a container: the root directory and standard input, both as open descriptors."""

from __future__ import annotations

import os

from .failures import UsageError


def open_rootfs(path: str) -> int:
    """Opened with the caller's own rights, so that nobody can have read what they could not."""
    flags = os.O_DIRECTORY | os.O_CLOEXEC
    try:
        return os.open(path, os.O_RDONLY | flags)
    except PermissionError:
        return open_unreadable(path, flags)
    except FileNotFoundError:
        raise UsageError(f"root directory {path!r} does not exist") from None
    except NotADirectoryError:
        raise UsageError(f"{path!r} is not a directory: give a container's root directory") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot open the root directory {path!r}: {error}") from None


def open_unreadable(path: str, flags: int) -> int:
    """A directory may be passed through without being listed."""
    try:
        return os.open(path, os.O_PATH | flags)
    except OSError as error:
        raise UsageError(f"cannot open the root directory {path!r}: {error.strerror}") from None


class Input:
    """Standard input for the container, and the end to feed it by where a terminal must stay outside."""

    def __init__(self, *, given: int, feed: int | None) -> None:
        self.given = given
        self.feed = feed

    @classmethod
    def of_caller(cls) -> Input:
        """Files, pipes and sockets go in as they are. A terminal does not: its ioctls would reach the caller."""
        if not os.isatty(0):
            return cls(given=0, feed=None)
        reading, writing = os.pipe()
        return cls(given=reading, feed=writing)

    def sent(self) -> None:
        """The service has its own copy now; ours would keep the pipe from ending."""
        if self.given != 0:
            os.close(self.given)
