# SPDX-License-Identifier: GPL-3.0-or-later
"""One member of an archive, as its headers describe it, with every value inside its bounds."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from . import bounds
from .refusal import Refusal, shown


class Kind(Enum):
    """By the type flag of ustar, pax(1)."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    LINK = "hard link"
    FIFO = "FIFO"
    DEVICE = "device"


class Entry(NamedTuple):  # as all that the child makes values of: to import dataclasses takes it as long as zlib
    """`path` and, of a hard link, `target` have neither . nor .. nor empty components; the path () is the root itself.

    segments: where the bytes that follow lie in the file: one from 0 on, but for sparse files.
    """

    kind: Kind
    path: tuple[bytes, ...]
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    target: tuple[bytes, ...] = ()
    points_to: bytes = b""
    segments: tuple[tuple[int, int], ...] = ()  # offset, bytes
    xattrs: tuple[tuple[str, bytes], ...] = ()


def split(path: bytes) -> tuple[bytes, ...]:
    """The components of a path that stays below where it begins."""
    if not path or b"\0" in path:
        raise Refusal(f"the archive has a member without a usable name: {shown(path)}")
    if len(path) > bounds.PATH_BYTES:
        raise Refusal(f"the path {shown(path)} is longer than {bounds.PATH_BYTES} bytes")
    if path.startswith(b"/"):
        raise Refusal(f"the path {shown(path)} is absolute: an image's paths are relative to its root")
    parts = tuple(path.split(b"/"))
    if b"" in parts or b"." in parts:
        parts = tuple(part for part in parts if part not in (b"", b"."))
    if b".." in parts:
        raise Refusal(f"the path {shown(path)} has .. in it, which may lead out of the image")
    if len(parts) > bounds.DEPTH:
        raise Refusal(f"the path {shown(path)} has more than {bounds.DEPTH} components")
    for part in parts if len(path) > bounds.NAME_BYTES else ():
        if len(part) > bounds.NAME_BYTES:
            raise Refusal(f"the path {shown(path)} has a component of more than {bounds.NAME_BYTES} bytes")
    return parts


def check_id(value: int, path: bytes, what: str) -> int:
    if not 0 <= value <= bounds.ID:
        raise Refusal(f"{shown(path)} belongs to {what} {value}: a container has the ids 0 to {bounds.ID}")
    return value
