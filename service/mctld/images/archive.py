# SPDX-License-Identifier: GPL-3.0-or-later
"""tar archives as they are found: v7, ustar, pax, and GNU's long names, large numbers and sparse files.

Python's tarfile cannot serve: it wants to seek, writes by path, and its filters have been bypassed (CVE-2025-4517).
Where readers differ about a header, it is refused rather than guessed.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import adler32

from . import bounds, extended
from .entry import Entry, Kind, check_id, split
from .refusal import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .source import Source

BLOCK = 512
ZEROS = bytes(BLOCK)
_KINDS = {
    b"0": Kind.FILE, b"\0": Kind.FILE, b"7": Kind.FILE, b"S": Kind.FILE, b"5": Kind.DIRECTORY, b"2": Kind.SYMLINK,
    b"1": Kind.LINK, b"6": Kind.FIFO, b"3": Kind.DEVICE, b"4": Kind.DEVICE,
}  # fmt: skip
_EXTENSIONS = {b"x", b"g", b"L", b"K"}


class Archive:
    """Iterating gives the entries. After one of a file its `segments` must be taken from the source, then skip().

    `raw` is told every byte that is not a file's content, in order.
    """

    def __init__(self, source: Source, raw: Callable[[bytes], None], *, end_required: bool) -> None:
        self._source = source
        self._raw = raw
        self._end_required = end_required
        self._global: extended.Records = {}

    def __iter__(self) -> Iterator[Entry]:
        for _ in range(bounds.ENTRIES):
            entry = self._next()
            if entry is None:
                return
            yield entry
        raise Refusal(f"the archive has more than {bounds.ENTRIES} members")

    def skip_padding(self, entry: Entry) -> None:
        """What fills the last block of a content up. `umoci insert` ends without it, and Go's reader takes that.

        Whether the archive may end here is for the next header to say.
        """
        segments = entry.segments
        rest = (segments[0][1] if len(segments) == 1 else sum(size for _, size in segments)) % BLOCK
        if rest and not self._source.is_at_end():
            self._read(BLOCK - rest)

    def _read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._raw(data)
        return data

    def _next(self) -> Entry | None:
        pax, names = self._global, dict[bytes, bytes]()  # pax is only replaced
        for _ in range(8):  # each kind of extension at most a few times
            header = self._header()
            if header is None:
                if pax != self._global or names:
                    raise Refusal("the archive ends after an extended header")
                return None
            flag = header[156:157]
            if flag not in _EXTENSIONS:
                return self._entry(header, pax, names)
            data = self._extension(header)
            if flag == b"x":
                pax = extended.records(data, pax)
            elif flag == b"g":
                self._global = extended.records(data, self._global)
                pax = {**self._global, **pax}
            else:
                names[flag] = data.split(b"\0", 1)[0]
        raise Refusal("the archive has one extended header after the other")

    def _extension(self, header: bytes) -> bytes:
        size = _number(header[124:136])
        if not 0 <= size <= bounds.HEADER_BYTES:
            raise Refusal(f"the archive has an extended header of {size} bytes: the most is {bounds.HEADER_BYTES}")
        return self._read(-(-size // BLOCK) * BLOCK)[:size]

    def _header(self) -> bytes | None:
        """None at the end: two blocks of zeros, then nothing but zeros."""
        if self._source.is_at_end():
            if self._end_required:
                raise Refusal("the archive is cut off: it does not end as tar archives do")
            return None
        header = self._read(BLOCK)
        if header == ZEROS:
            self._end()
            return None
        if not _is_right(header):
            raise Refusal(f"this is no tar archive, or it is damaged at byte {self._source.position - BLOCK}")
        return header

    def _end(self) -> None:
        padding = 0
        while not self._source.is_at_end():
            data = self._source.some()
            self._raw(data)
            if data.strip(b"\0"):
                raise Refusal("the archive goes on after its end")
            padding += len(data)
            if padding > bounds.PADDING:
                raise Refusal("the archive has too much padding behind its end")
        if self._end_required and padding < BLOCK:
            raise Refusal("the archive is cut off: it does not end as tar archives do")

    def _entry(self, header: bytes, pax: extended.Records, names: dict[bytes, bytes]) -> Entry:
        flag = header[156:157]
        name = pax.get("GNU.sparse.name") or pax.get("path") or names.get(b"L") or _name(header)
        link = pax.get("linkpath") or names.get(b"K") or header[157:257].partition(b"\0")[0]
        kind = _KINDS.get(flag)
        if kind is None:
            raise Refusal(f"{shown(name)} is of a kind that images do not have: tar's {flag!r}")
        if kind is Kind.FILE and flag == b"\0" and name.endswith(b"/"):
            kind = Kind.DIRECTORY  # as v7 wrote them
        size = extended.number("size", pax["size"]) if "size" in pax else _number(header[124:136])
        if size < 0 or (size and kind is not Kind.FILE):
            raise Refusal(f"{shown(name)}, a {kind.value}, claims {size} bytes of content")
        whole, segments = self._content(header, pax, size, name)
        return Entry(
            kind,
            split(name),
            mode=stat.S_IMODE(_number(header[100:108])),
            uid=check_id(_owner(pax, "uid", header[108:116]), name, "user"),
            gid=check_id(_owner(pax, "gid", header[116:124]), name, "group"),
            mtime_ns=_mtime(pax, header[136:148]),
            size=whole,
            segments=segments,
            target=split(link) if kind is Kind.LINK else (),
            points_to=_points_to(link, name) if kind is Kind.SYMLINK else b"",
            xattrs=extended.kept_xattrs(pax) if pax else (),
        )

    def _content(
        self, header: bytes, pax: extended.Records, size: int, name: bytes
    ) -> tuple[int, tuple[tuple[int, int], ...]]:
        """The size of the file, and where what is stored of it belongs."""
        if header[156:157] == b"S":
            whole = _number(header[483:495])
            found = extended.segments(self._old_map(header), _bounded(whole, name), size)
        elif "GNU.sparse.major" in pax:
            whole = extended.number("GNU.sparse.realsize", pax.get("GNU.sparse.realsize", b""))
            numbers, taken = self._stored_map(size)
            found = extended.segments(numbers, _bounded(whole, name), size - taken)
        elif "GNU.sparse.map" in pax:
            whole = extended.number("GNU.sparse.size", pax.get("GNU.sparse.size", b""))
            found = extended.segments(extended.sparse_map(pax["GNU.sparse.map"]), _bounded(whole, name), size)
        else:
            whole, found = _bounded(size, name), ((0, size),) if size else ()
        return whole, found

    def _old_map(self, header: bytes) -> list[int]:
        """Four parts in the header, 21 in each further block: tar(5), old GNU format."""
        numbers = _pairs(header[386:482])
        more = header[482:483]
        while more not in (b"\0", b"0"):
            if len(numbers) > 2 * bounds.SPARSE_SEGMENTS:
                raise Refusal(f"the archive has a sparse file with more than {bounds.SPARSE_SEGMENTS} parts")
            block = self._read(BLOCK)
            numbers += _pairs(block[:504])
            more = block[504:505]
        return numbers

    def _stored_map(self, size: int) -> tuple[list[int], int]:
        """Version 1.0: decimal lines before the content, filled up to a block; and how many bytes that were."""
        data = bytearray()
        wanted, taken = 1, 0
        while data.count(b"\n") < wanted:
            if taken >= size or len(data) > bounds.HEADER_BYTES:
                raise Refusal("the archive has a sparse file whose map is damaged or too long")
            data += self._read(BLOCK)
            taken += BLOCK
            if wanted == 1 and b"\n" in data:
                parts = extended.number("sparse map", bytes(data.split(b"\n", 1)[0]))
                if parts > bounds.SPARSE_SEGMENTS:
                    raise Refusal(f"the archive has a sparse file with more than {bounds.SPARSE_SEGMENTS} parts")
                wanted = 1 + 2 * parts
        lines = bytes(data).split(b"\n")[1:wanted]
        return [extended.number("sparse map", line) for line in lines], taken


def _bounded(size: int, name: bytes) -> int:
    if not 0 <= size <= bounds.LAYER_BYTES:
        raise Refusal(f"{shown(name)} claims {size} bytes: the most is {bounds.LAYER_BYTES}")
    return size


def _is_right(header: bytes) -> bool:
    """The sum of all bytes, those of the sum itself taken as spaces; once some added signed ones up, pax(1)."""
    total = _sum(header[:256]) + _sum(header[256:]) - _sum(header[148:156]) + 8 * ord(" ")
    try:
        told = _number(header[148:156])
    except Refusal:
        return False
    return told == total or told == total - 256 * sum(byte > 127 for byte in header[:148] + header[156:])


def _sum(part: bytes) -> int:
    """Of up to 256 bytes: Adler-32 has it, less one, in its lower half, and is ten times faster than sum()."""
    return (adler32(part) & 0xFFFF) - 1


@lru_cache(256)  # most members of an archive have the same owner, mode and time
def _number(field: bytes) -> int:
    """Octal digits; or, with the highest bit set, the rest in base 256, as GNU tar writes what is too large."""
    if field[0] & 0x80:
        return int.from_bytes(bytes((field[0] & 0x7F, *field[1:])), "big") if field[0] != 0xFF else _negative(field)
    text = field.strip(b" \0")
    if text and text.strip(b"01234567"):
        raise Refusal(f"the archive has a header with a damaged number: {shown(field)}")
    return int(text, 8) if text else 0


def _negative(field: bytes) -> int:
    return int.from_bytes(field, "big", signed=True)


def _pairs(data: bytes) -> list[int]:
    found = []
    for at in range(0, len(data) - 23, 24):
        if data[at : at + 1] == b"\0":
            break
        found += [_number(data[at : at + 12]), _number(data[at + 12 : at + 24])]
    return found


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _owner(pax: extended.Records, key: str, field: bytes) -> int:
    return extended.number(key, pax[key]) if key in pax else _number(field)


def _mtime(pax: extended.Records, field: bytes) -> int:
    if "mtime" in pax:
        return extended.time_ns(pax["mtime"])
    return extended.bounded_time(_number(field) * 1_000_000_000)


def _points_to(link: bytes, name: bytes) -> bytes:
    """Where a symbolic link leads is the container's affair: here nothing follows it."""
    if not link or len(link) > bounds.PATH_BYTES or b"\0" in link:
        raise Refusal(f"{shown(name)} is a symbolic link to {shown(link)}, which no path can be")
    return os.fsencode(link)
