# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a step is shown and no layer gets: copies of the caller's own, so that it can do nothing to the originals.

Secrets lie in memory, where the kernel can show them to a container with other owners (tmpfs since Linux 6.3), else on
the disk, readable by nobody else, for as long as the step takes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from secrets import token_hex
from typing import TYPE_CHECKING

from ..receiving import Receiving
from .agent import Relay
from .placing import write

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .placing import Member

TOP = "shown"
MAPPED_TMPFS = (6, 3)


class Room:
    """Two directories, made when they are needed. Everybody may write to where they are, so nobody can tell before what
    they are called, and none is taken that is there; the guardian, who removes them if we are killed, knows the names.
    """

    def __init__(self) -> None:
        self._disk = f"{tempfile.gettempdir()}/mctl-build-{token_hex(8)}"
        self._memory = f"{_place_in_memory() or tempfile.gettempdir()}/mctl-build-{token_hex(8)}"
        self._made: set[str] = set()
        self._relays: list[Relay] = []
        self._opened: list[int] = []

    def secret(self, content: bytes, mode: int, owner: tuple[int, int]) -> int:
        """A descriptor of a file with that."""
        path = f"{self._made_once(self._memory)}/{len(self._opened)}"
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
            file.flush()
            if owner != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
        return self._open(path)

    def agent(self, place: str, mode: int, owner: tuple[int, int]) -> int:
        """A descriptor of a socket that leads to the agent at that place."""
        path = f"{self._made_once(self._memory)}/{len(self._opened)}"
        self._relays.append(Relay(path, place))
        if owner != (os.geteuid(), os.getegid()):
            os.chown(path, *owner)
        os.chmod(path, mode)
        return self._open(path)

    def files(self, members: Iterable[Member], *, is_directory: bool) -> int:
        """A descriptor of a directory with them, or of the only one."""
        place = f"{self._made_once(self._disk)}/{len(self._opened)}"
        os.mkdir(place)
        if is_directory:
            os.mkdir(f"{place}/{TOP}", 0o755)
        with tempfile.TemporaryFile(dir=self._disk) as archive:
            write(_below_one_top(members, is_directory=is_directory), archive)
            archive.seek(0)
            Receiving(place, keep=True).take(archive)
        return self._open(f"{place}/{TOP}")

    def clear(self) -> None:
        while self._relays:
            self._relays.pop().close()
        while self._opened:
            os.close(self._opened.pop())
        for place in (self._disk, self._memory):
            shutil.rmtree(place, ignore_errors=True)
        self._made.clear()

    def _made_once(self, place: str) -> str:
        if place not in self._made:
            os.mkdir(place, 0o700)
            self._made.add(place)
        return place

    def _open(self, path: str) -> int:
        self._opened.append(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
        return self._opened[-1]


def _below_one_top(members: Iterable[Member], *, is_directory: bool) -> Iterable[Member]:
    for info, opener in members:
        info.name = f"{TOP}/{info.name}" if is_directory else TOP
        yield info, opener


def _is_mine(directory: str) -> bool:
    """sudo -E leaves root the variable of whoever was there before, who could put other files in the place of ours."""
    try:
        return os.stat(directory).st_uid == os.geteuid() and os.access(directory, os.W_OK)
    except OSError:
        return False


def _place_in_memory() -> str | None:
    """The caller's own directory in memory, or one that all may write to."""
    major, minor = os.uname().release.split(".")[:2]
    if (int(major), int(minor.partition("-")[0])) < MAPPED_TMPFS:
        return None
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    return own if own and _is_mine(own) else "/dev/shm"
