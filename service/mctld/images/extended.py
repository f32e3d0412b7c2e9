# SPDX-License-Identifier: GPL-3.0-or-later
"""Extended headers of tar archives: pax(1)'s records, GNU tar's sparse maps. Everything in them is bounded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import bounds
from .refusal import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

XATTR = "SCHILY.xattr."
SPARSE = "GNU.sparse."
_TIME = re.compile(rb"-?[0-9]{1,18}(\.[0-9]{0,18})?", re.ASCII)
_NUMBER = re.compile(rb"[0-9]{1,19}", re.ASCII)
EARLIEST, LATEST = -(1 << 31), (1 << 33) + (1 << 32)  # what ext4 can tell, in seconds

Records = dict[str, bytes]


def records(data: bytes, known: Records) -> Records:
    """`known` and the records of `data`; an empty value takes one away. A sparse map of version 0.0 is gathered."""
    found, segments, at = dict(known), list[bytes](), 0
    while at < len(data):
        space = data.find(b" ", at, at + 8)
        digits = data[at:space] if space > 0 else b""
        end = at + int(digits) if digits.isdigit() else 0
        if not space + 3 <= end <= len(data) or data[end - 1 : end] != b"\n":
            raise Refusal("the archive has a damaged extended header")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals:
            raise Refusal("the archive has a damaged extended header")
        at = end
        name = key.decode("utf-8", "surrogateescape")
        if name in ("GNU.sparse.offset", "GNU.sparse.numbytes"):  # several of each
            segments.append(value)
        elif value:
            found[name] = value
        else:
            found.pop(name, None)
    if segments:
        found["GNU.sparse.map"] = b",".join(segments)
    return found


def number(key: str, value: bytes) -> int:
    if not _NUMBER.fullmatch(value):
        raise Refusal(f"the archive has an extended header {key} that is no number: {shown(value)}")
    return int(value)


def time_ns(value: bytes) -> int:
    """Seconds with a fraction; what the file system could not tell becomes the nearest that it can."""
    if not _TIME.fullmatch(value):
        raise Refusal(f"the archive has a time that is none: {shown(value)}")
    whole, _, fraction = value.partition(b".")
    seconds = int(whole) * 1_000_000_000
    part = int(fraction[:9].ljust(9, b"0")) if fraction else 0
    return bounded_time(seconds - part if whole.startswith(b"-") else seconds + part)


def bounded_time(nanoseconds: int) -> int:
    return max(EARLIEST * 1_000_000_000, min(LATEST * 1_000_000_000, nanoseconds))


def kept_xattrs(found: Records) -> tuple[tuple[str, bytes], ...]:
    """File capabilities and what users note; not what the kernel, the overlay or a security module would heed."""
    kept = []
    for key, value in found.items():
        name = key.removeprefix(XATTR)
        if name == key or not (name == "security.capability" or name.startswith("user.")):
            continue
        if name.startswith("user.overlay.") or "\0" in name or len(name.encode("utf-8", "surrogateescape")) > 255:
            continue
        if len(value) > bounds.XATTR_BYTES:
            raise Refusal(f"the extended attribute {name!r} has more than {bounds.XATTR_BYTES} bytes")
        kept.append((name, value))
    if len(kept) > bounds.XATTRS:
        raise Refusal(f"a member of the archive has more than {bounds.XATTRS} extended attributes")
    return tuple(kept)


def segments(numbers: Sequence[int], real_size: int, stored: int) -> tuple[tuple[int, int], ...]:
    """A sparse map, checked: in order, inside the file, and as long as what is stored."""
    if len(numbers) % 2 or len(numbers) // 2 > bounds.SPARSE_SEGMENTS:
        raise Refusal("the archive has a sparse file whose map is damaged or too long")
    found, end = [], 0
    for offset, size in zip(numbers[::2], numbers[1::2], strict=True):
        if offset < end or offset + size > real_size:
            raise Refusal("the archive has a sparse file whose parts overlap or lie beyond its end")
        end = offset + size
        if size:
            found.append((offset, size))
    if sum(size for _, size in found) != stored:
        raise Refusal("the archive has a sparse file with more or fewer bytes than its map says")
    return tuple(found)


def sparse_map(value: bytes) -> list[int]:
    """GNU.sparse.map of versions 0.0 and 0.1."""
    parts = value.split(b",")
    if len(parts) > 2 * bounds.SPARSE_SEGMENTS:
        raise Refusal(f"the archive has a sparse file with more than {bounds.SPARSE_SEGMENTS} parts")
    return [number("GNU.sparse.map", part) for part in parts]
