# SPDX-License-Identifier: GPL-3.0-or-later
"""What a single value must be, and the sentence that says so: the key, the value, the bound."""

from __future__ import annotations

import os
import socket

from .errors import InvalidArgs

INFINITY = 2**64 - 1  # "no limit" on the bus and in systemd's properties


def shown(value: str) -> str:
    """`value` as it may appear in a sentence: quoted, escaped, shortened."""
    return repr(value if len(value) <= 80 else value[:77] + "...")


def check_text(key: str, value: str, limit: int) -> str:
    """Text that reaches the kernel as a C string; control characters would reach systemd and terminals."""
    if "\0" in value:
        raise InvalidArgs(f"{key} {shown(value)} contains a NUL character")
    if len(os.fsencode(value)) > limit:
        raise InvalidArgs(f"{key} {shown(value)} is longer than {limit} bytes")
    return value


def check_printable(key: str, value: str, limit: int) -> str:
    if any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in value):
        raise InvalidArgs(f"{key} {shown(value)} contains a control character")
    return check_text(key, value, limit)


def check_range(key: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise InvalidArgs(f"{key} {value} is out of range: it must be between {low} and {high}")
    return value


def check_address(key: str, address: str) -> str:
    """An IPv4 or IPv6 address in its usual writing, inet_pton(3)."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
        return address
    raise InvalidArgs(f"{key} {shown(address)} is not an IPv4 or IPv6 address")


def check_path(key: str, path: str) -> str:
    """An absolute path inside a container, without . and .. as components."""
    check_printable(key, path, 4095)
    if not path.startswith("/"):
        raise InvalidArgs(f"{key} {shown(path)} is not an absolute path")
    if any(part in (".", "..") for part in path.split("/")):
        raise InvalidArgs(f"{key} {shown(path)} has . or .. in it: give the plain path")
    return path
