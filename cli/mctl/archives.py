# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes an image: a file, standard input, or a directory that tar(1) reads with the caller's own rights."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import threading
from typing import TYPE_CHECKING

from .failures import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

HELD_BACK = 2 * 10_240  # an archive's end, without which the service takes none, and what tar fills its record up with
PIECE = 1 << 20
TAR = (
    "tar", "--create", "--file=-", "--format=posix", "--pax-option=delete=atime,delete=ctime", "--numeric-owner",
    "--sort=name", "--one-file-system", "--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability",
    "--sparse",
)  # fmt: skip


class Archive:
    """given: a descriptor to be read from; close() when the service has answered. made: when, in seconds, where what is
    in it says so.
    """

    def __init__(self, given: int, made: int | None = None) -> None:
        self.given = given
        self.made = made

    def close(self) -> None:
        os.close(self.given)

    def complaint(self) -> str:
        """What went wrong on this side, empty if nothing did."""
        return ""


class Packing(Archive):
    """What tar(1) packs, called by `words`, while the service unpacks.

    Whether tar has read everything is known only at its end: till then the archive's own end is held back, so that
    a directory that could be read in part becomes no image.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.passed = 0  # bytes
        try:
            self._tar = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        except FileNotFoundError:
            raise UsageError("tar(1) is needed to pack files, and is not installed") from None
        assert self._tar.stdout is not None
        with contextlib.suppress(OSError):  # who has many pipes may have no larger ones, pipe(7)
            fcntl.fcntl(self._tar.stdout, fcntl.F_SETPIPE_SZ, PIECE)
        reading, self._writing = os.pipe()
        super().__init__(reading)
        self._refused = False
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def close(self) -> None:
        super().close()  # who still writes is told
        self._thread.join()
        assert self._tar.stdout is not None
        self._tar.stdout.close()
        self._tar.wait()

    def complaint(self) -> str:
        status = self._tar.returncode
        return f"tar could not read everything (status {status})" if status and not self._refused else ""

    def _pass_on(self) -> None:
        assert self._tar.stdout is not None
        held = b""
        try:
            while data := os.read(self._tar.stdout.fileno(), PIECE):
                held += data
                self._write(held[:-HELD_BACK])
                held = held[-HELD_BACK:]
            if self._tar.wait() == 0:
                self._write(held)
        except BrokenPipeError:
            self._refused = True
            self._tar.kill()
        finally:
            os.close(self._writing)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._writing, view)
            self.passed += written
            view = view[written:]


def open_archive(source: str) -> Archive:
    if source == "-":
        return Archive(os.dup(0))
    try:
        opened = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot open {source!r}: {reason}") from None
    if not os.path.isdir(f"/proc/self/fd/{opened}"):
        return Archive(opened)
    os.close(opened)
    own = () if os.geteuid() == 0 else ("--owner=0", "--group=0")  # as root directories of users are shown
    return Packing([*TAR, *own, f"--directory={source}", "."])
