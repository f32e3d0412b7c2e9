# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories that a layer's archive does not name, though something is below them: as the layers below have them.

Where docker unpacks, the lower layers are there already, and a directory that is there keeps its owner and mode. A
layer unpacked by itself has one of its own, which would show in place of theirs: /tmp as root's alone. So what a layer
is like on disk depends on what it was laid upon, and a layer that implies something goes by its digest and by what was
copied: else whoever brings a layer in first could lay it upon directories of their own, and have others show them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from ..kernel import files
from . import bounds
from .merge import is_opaque
from .refusal import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FLAGS = os.O_RDONLY | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class Like:
    """What is copied of a directory."""

    uid: int
    gid: int
    mode: int
    mtime_ns: int


class Examples:
    """Looked up in the layers below. One for all that is brought in at once, which may take so many looks."""

    def __init__(self, most: int = bounds.LOOKS) -> None:
        self._most = self._left = most

    def find(self, paths: Iterable[str], below: Sequence[int]) -> dict[str, Like]:
        """Of directories that `below`, open root directories with the topmost first, show there. Slow: for a thread.

        Each directory on the way is opened once, and only in the layers that have the one above it.
        """
        found: dict[str, Like] = {}
        with _Way() as way:
            way.enter(b"", self._shown(b".", below))
            for text in sorted(paths, key=lambda path: path.replace("/", "\0")):  # what is below comes next
                path = os.fsencode(text).split(b"/")
                for name in way.back_to(path):
                    way.enter(name, self._shown(name, way.here))
                if way.here:
                    there = os.fstat(way.here[0])
                    found[text] = Like(there.st_uid, there.st_gid, there.st_mode & 0o7777, there.st_mtime_ns)
        return found

    def _shown(self, name: bytes, above: Sequence[int]) -> list[int]:
        """Those of the name that overlayfs would merge, open: directories, through no link, down to an opaque one."""
        here: list[int] = []
        try:
            for directory in above:
                self._look(name)
                try:
                    here.append(files.open_beneath(directory, name, FLAGS))
                except FileNotFoundError:
                    continue
                except OSError as error:
                    if error.errno in (errno.ENOTDIR, errno.ELOOP):
                        break
                    raise
                if is_opaque(here[-1]):
                    break
        except BaseException:
            _close(here)
            raise
        return here

    def _look(self, name: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            raise Refusal(
                f"the archives of the layers do not name too many of their directories, as {shown(name)}: what each is "
                f"like is looked up in the layers below, {self._most} times at most; name them in the archives"
            )


class _Way:
    """The directories from the root to here, open in each layer that has them."""

    def __init__(self) -> None:
        self._names: list[bytes] = []
        self._open: list[list[int]] = []
        self._count = 0

    def __enter__(self) -> _Way:
        return self

    def __exit__(self, *_: object) -> None:
        self._cut(0)

    @property
    def here(self) -> list[int]:
        return self._open[-1]

    def enter(self, name: bytes, opened: list[int]) -> None:
        self._names.append(name)
        self._open.append(opened)
        self._count += len(opened)
        if self._count > bounds.OPEN_DIRECTORIES:
            raise Refusal(
                f"the directory {shown(name)} is too deep in too many layers for one that an archive does not name:"
                f" {bounds.OPEN_DIRECTORIES} directories above it are the most"
            )

    def back_to(self, path: Sequence[bytes]) -> Sequence[bytes]:
        """To the last directory that is on the way to `path`; what is missing from there on."""
        common = 0
        for mine, other in zip(self._names[1:], path, strict=False):
            if mine != other:
                break
            common += 1
        self._cut(common + 1)
        return path[common:]

    def _cut(self, length: int) -> None:
        while len(self._open) > length:
            self._names.pop()
            left = self._open.pop()
            self._count -= len(left)
            _close(left)


def adapt(tree: int, examples: Mapping[str, Like]) -> None:
    """The directories of `tree`, an open root directory. Slow: for a thread."""
    for text, like in examples.items():
        opened = files.open_beneath(tree, os.fsencode(text), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fchown(opened, like.uid, like.gid)
            os.fchmod(opened, like.mode)
            os.utime(opened, ns=(like.mtime_ns, like.mtime_ns))
        finally:
            os.close(opened)


def key(diff_id: str, paths: Sequence[str], examples: Mapping[str, Like]) -> str:
    """What a layer goes by: its own digest, if it is the same upon whatever it lies."""
    if not paths:
        return diff_id
    copied = sorted((path, *astuple(like)) for path, like in examples.items())
    return f"sha256:{hashlib.sha256(json.dumps(['implied', diff_id, copied]).encode()).hexdigest()}"


def _close(opened: Iterable[int]) -> None:
    for each in opened:
        os.close(each)
