# SPDX-License-Identifier: GPL-3.0-or-later
"""A pax archive, member by member: what cannot be said in ustar's header is said in an extended one, pax(1)."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .extended import XATTR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BLOCK = 512
FILE, LINK, SYMLINK, DIRECTORY, FIFO, EXTENDED = b"0", b"1", b"2", b"5", b"6", b"x"
_NAME_BYTES = 100
_SIZE_MAX = 8**11 - 1
_TIME_MAX = 8**11 - 1
_SPARSE = b"GNUSparseFile.0/file"  # what the name is to readers that know nothing of sparse files


@dataclass(frozen=True, slots=True)
class Member:
    """All but the content. Times are whole seconds, as docker and podman have them in layers."""

    kind: bytes
    name: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    link: bytes = b""
    xattrs: tuple[tuple[str, bytes], ...] = ()


class Packer:
    """`write` takes bytes. What put() has announced must follow by content(), and then fill()."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def put(self, member: Member, size: int = 0) -> None:
        records = _records(member, size)
        if records:
            self._extend(records)
        self._write(_header(member, min(size, _SIZE_MAX)))

    def put_sparse(self, member: Member, size: int, segments: Iterable[tuple[int, int]]) -> None:
        """A file of `size` bytes, of which only the segments follow: GNU tar's format 1.0."""
        parts = tuple(segments)
        numbers = [len(parts), *(number for part in parts for number in part)]
        text = b"".join(b"%d\n" % number for number in numbers)
        stored = len(text) + -len(text) % BLOCK + sum(length for _, length in parts)
        plain = Member(FILE, _SPARSE, member.mode, member.uid, member.gid, member.mtime, xattrs=member.xattrs)
        told = {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.name": member.name}
        self._extend({**_records(plain, stored), **told, "GNU.sparse.realsize": b"%d" % size})
        self._write(_header(plain, min(stored, _SIZE_MAX)) + text + bytes(-len(text) % BLOCK))

    def content(self, data: bytes) -> None:
        self._write(data)

    def fill(self, size: int) -> None:
        """Up to a whole block."""
        if size % BLOCK:
            self._write(bytes(-size % BLOCK))

    def end(self) -> None:
        self._write(bytes(2 * BLOCK))

    def _extend(self, records: dict[str, bytes]) -> None:
        body = b"".join(_record(key.encode("utf-8", "surrogateescape"), value) for key, value in records.items())
        self._write(_header(Member(EXTENDED, b"PaxHeader"), len(body)) + body + bytes(-len(body) % BLOCK))


def _records(member: Member, size: int) -> dict[str, bytes]:
    found = {XATTR + name: value for name, value in member.xattrs}
    if len(member.name) > _NAME_BYTES or not member.name.isascii():
        found["path"] = member.name
    if len(member.link) > _NAME_BYTES or not member.link.isascii():
        found["linkpath"] = member.link
    if size > _SIZE_MAX:
        found["size"] = b"%d" % size
    if not 0 <= member.mtime <= _TIME_MAX:
        found["mtime"] = b"%d" % member.mtime
    return found


def _record(key: bytes, value: bytes) -> bytes:
    """LENGTH KEY=VALUE: the length counts itself."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + len(str(len(body)))
    length += len(str(length)) - len(str(len(body)))
    return b"%d" % length + body


def _header(member: Member, size: int) -> bytes:
    made = bytearray(BLOCK)
    made[0:_NAME_BYTES] = member.name[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
    made[100:108] = _octal(stat.S_IMODE(member.mode), 8)
    made[108:116] = _octal(member.uid, 8)
    made[116:124] = _octal(member.gid, 8)
    made[124:136] = _octal(size, 12)
    made[136:148] = _octal(max(0, min(member.mtime, _TIME_MAX)), 12)
    made[148:156] = b" " * 8
    made[156:157] = member.kind
    made[157:257] = member.link[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
    made[257:265] = b"ustar\x0000"
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


def _octal(value: int, width: int) -> bytes:
    """Ids of a container have seven digits at most; a host's, where it shares them, up to eleven: GNU's base 256."""
    if value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return b"\x80" + value.to_bytes(width - 1, "big")
