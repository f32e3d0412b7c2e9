# SPDX-License-Identifier: GPL-3.0-or-later
"""What interrupted transfers have fetched whole: for the next transfer of the same user, and of nobody else.

    blobs/UID/HEX    by the blob's digest, root's alone

To know a digest is not to have what it is of: so each user has their own. What a transfer has left is proved when it is
taken, and is the transfer's from then on. It is bounded in bytes and in time, and gives way to whatever needs the room.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import secrets
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..kernel import files
from . import skopeo
from .refusal import Refusal
from .room import check_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

BLOBS = "blobs/sha256"  # of an OCI image layout
KEPT_SECONDS = 24 * 3600
BYTES_OF_ONE = 8 << 30
BYTES_OF_ALL = 32 << 30
WORTH = 64 << 10  # bytes: less is fetched again sooner than it is kept
ENTRIES_MAX = 1_024
PIECE = 1 << 20
OWNER = "owner"  # in the directory of a transfer: whose it is
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Kept:
    path: str
    uid: str
    size: int
    since: float


class Blobs:
    """What is slow here says so: it belongs into a thread. The directory is only there while something is in it."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.of_one = BYTES_OF_ONE

    def has(self, uid: int) -> bool:
        return os.path.isdir(f"{self._directory}/{uid}")

    def keep(self, uid: int, layout: str) -> None:
        """Slow: of an OCI image layout that a program has filled which may have done other things there."""
        place = f"{self._directory}/{uid}"
        with contextlib.suppress(OSError), _opened(layout) as source:  # one that was not begun, or is none
            os.makedirs(place, 0o700, exist_ok=True)
            for name in itertools.islice(os.listdir(source), ENTRIES_MAX):
                if _HEX.fullmatch(name) and _is_whole(source, name):
                    os.rename(name, f"{place}/{name}", src_dir_fd=source)
        self.expire()

    def rescue(self, made: str) -> None:
        """Slow: of a transfer that ended with the service, in whose directory its owner was noted."""
        with contextlib.suppress(OSError, ValueError), open(f"{made}/{OWNER}", encoding="ascii") as file:
            self.keep(int(file.read()), f"{made}/{skopeo.STAGING}/{skopeo.IMAGE}")

    def take(self, uid: int, wanted: Mapping[str, int], layout: str) -> frozenset[str]:
        """Slow: those of the wanted digests, with their sizes, that are there are the layout's now; which they were."""
        taken = set()
        for digest, size in wanted.items():
            name = digest.removeprefix("sha256:")
            path = f"{self._directory}/{uid}/{name}"
            with contextlib.suppress(OSError):  # then it is fetched
                if _is(path, digest, size):
                    os.rename(path, f"{layout}/{BLOBS}/{name}")
                    taken.add(digest)
                else:
                    os.unlink(path)
        self.expire()
        return frozenset(taken)

    def expire(self) -> float | None:
        """Slow: the oldest go first. In how many seconds the next one is due, if there are any."""
        of_one: dict[str, int] = {}
        of_all, now, left = 0, time.time(), None
        for kept in sorted(self._all(), key=lambda kept: kept.since, reverse=True):
            of_one[kept.uid] = of_one.get(kept.uid, 0) + kept.size
            of_all += kept.size
            age = now - kept.since
            if of_one[kept.uid] > self.of_one or of_all > BYTES_OF_ALL or not -KEPT_SECONDS < age < KEPT_SECONDS:
                with contextlib.suppress(OSError):
                    os.unlink(kept.path)
            else:
                left = KEPT_SECONDS - age
        for path in (*self._users(), self._directory):
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(path)
        return left

    def give_way(self, dispose: Callable[[str], object], trash: str) -> None:
        """All of them go where the disk has no room for images otherwise."""
        if os.path.isdir(self._directory):
            try:
                check_room(self._directory)
            except Refusal:
                gone = f"{trash}/{secrets.token_hex(8)}"
                os.rename(self._directory, gone)
                dispose(gone)

    def sizes(self) -> dict[int, int]:
        """Slow: bytes by user."""
        found: dict[int, int] = {}
        for kept in self._all():
            found[int(kept.uid)] = found.get(int(kept.uid), 0) + kept.size
        return found

    def give_up(self, uid: int | None, dispose: Callable[[str], object], trash: str) -> int:
        """Slow: all of a user's go, or everybody's; how many bytes."""
        freed = 0
        for owner, size in self.sizes().items():
            gone = f"{trash}/{secrets.token_hex(8)}"
            if uid in (None, owner):
                with contextlib.suppress(FileNotFoundError):  # a transfer has taken the last of them meanwhile
                    os.rename(f"{self._directory}/{owner}", gone)
                    freed += size
                dispose(gone)
        self.expire()
        return freed

    def _users(self) -> list[str]:
        try:
            return [f"{self._directory}/{name}" for name in os.listdir(self._directory)]
        except FileNotFoundError:
            return []

    def _all(self) -> Iterator[_Kept]:
        for place in self._users():
            with contextlib.suppress(OSError), os.scandir(place) as entries:  # another thread may have taken it
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    yield _Kept(entry.path, os.path.basename(place), found.st_size, found.st_mtime)


def note(made: str, uid: int) -> None:
    """For rescue()."""
    with open(f"{made}/{OWNER}", "w", encoding="ascii") as file:
        file.write(str(uid))


def prepare(layout: str, here: Iterable[str]) -> None:
    """A layout for a program of any user's to fill, which asks in it for no blob that is here, so it seems."""
    for path in (layout, f"{layout}/blobs", f"{layout}/{BLOBS}"):
        os.mkdir(path)
        os.chmod(path, 0o777)
    for digest in here:
        path = f"{layout}/{BLOBS}/{digest.removeprefix('sha256:')}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0))


def fetched(layout: str) -> int:
    """Bytes so far; the program gives what it writes names of its own. What was there before is root's."""
    total = 0
    for directory in (layout, f"{layout}/{BLOBS}"):
        with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in itertools.islice(entries, ENTRIES_MAX):
                found = entry.stat(follow_symlinks=False)
                total += found.st_size if found.st_uid and stat.S_ISREG(found.st_mode) else 0
    return total


def whole(layout: str) -> frozenset[str]:
    """Digests of what has come so far: the program gives nothing its name before."""
    found = set()
    with contextlib.suppress(OSError), os.scandir(f"{layout}/{BLOBS}") as entries:
        for entry in itertools.islice(entries, ENTRIES_MAX):
            if _HEX.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_uid:
                found.add(f"sha256:{entry.name}")
    return frozenset(found)


@contextlib.contextmanager
def _opened(layout: str) -> Iterator[int]:
    root = os.open(layout, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        opened = files.open_beneath(root, BLOBS, os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(root)
    try:
        yield opened
    finally:
        os.close(opened)


def _is_whole(source: int, name: str) -> bool:
    """Whether it is worth to be kept; it is root's then."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        opened = os.open(name, flags, dir_fd=source)
    except OSError:
        return False
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_size < WORTH:
            return False
        os.fchown(opened, os.geteuid(), os.getegid())
        os.fchmod(opened, 0o600)
        os.utime(opened)
        return True
    finally:
        os.close(opened)


def _is(path: str, digest: str, size: int) -> bool:
    """What a loss of power has left of it, or a program that means harm, is not."""
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(opened, "rb") as file:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return False
        sum_of_all = hashlib.sha256()
        while piece := file.read(PIECE):
            sum_of_all.update(piece)
        os.fchmod(opened, 0o644)
    return f"sha256:{sum_of_all.hexdigest()}" == digest
