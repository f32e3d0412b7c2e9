# SPDX-License-Identifier: GPL-3.0-or-later
"""tar archives byte by byte, so that a test can say what no tool would write."""

from __future__ import annotations

import os

BLOCK = 512
END = bytes(2 * BLOCK)


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def header(
    name: bytes,
    kind: bytes = b"0",
    *,
    size: int = 0,
    link: bytes = b"",
    mode: int = 0o644,
    uid: int | None = None,
    gid: int | None = None,
    mtime: int = 1_700_000_000,
    prefix: bytes = b"",
    magic: bytes = b"ustar\x0000",
    fields: dict[int, bytes] | None = None,
) -> bytes:
    """`fields`: bytes to put at offsets, before the sum is made."""
    made = bytearray(BLOCK)
    made[0:100] = name[:100].ljust(100, b"\0")
    made[100:108] = octal(mode, 8)
    made[108:116] = octal(os.geteuid() if uid is None else uid, 8)
    made[116:124] = octal(os.getegid() if gid is None else gid, 8)
    made[124:136] = octal(size, 12)
    made[136:148] = octal(mtime, 12)
    made[156:157] = kind
    made[157:257] = link[:100].ljust(100, b"\0")
    made[257:265] = magic
    made[345:500] = prefix.ljust(155, b"\0")
    for offset, value in (fields or {}).items():
        made[offset : offset + len(value)] = value
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def member(name: bytes, content: bytes = b"", kind: bytes = b"0", **fields: object) -> bytes:
    return header(name, kind, size=len(content), **fields) + padded(content)  # type: ignore[arg-type]


def directory(name: bytes, mode: int = 0o755, **fields: object) -> bytes:
    return header(name, b"5", mode=mode, **fields)  # type: ignore[arg-type]


def symlink(name: bytes, target: bytes) -> bytes:
    return header(name, b"2", link=target, mode=0o777)


def link(name: bytes, target: bytes) -> bytes:
    return header(name, b"1", link=target)


def pax(kind: bytes = b"x", **records: bytes) -> bytes:
    """Keys with a dot are written with __."""
    data = b"".join(record(key.replace("__", ".").encode(), value) for key, value in records.items())
    return header(b"PaxHeader", kind, size=len(data)) + padded(data)


def record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    size = len(body) + 1
    while len(str(size)) + len(body) != size:
        size += 1
    return str(size).encode() + body


def archive(*members: bytes) -> bytes:
    return b"".join(members) + END
