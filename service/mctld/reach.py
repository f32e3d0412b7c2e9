# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a container may talk to, and where it may listen, in the words of systemd.resource-control(5)."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING

from .bounds import check_range, shown
from .errors import InvalidArgs

if TYPE_CHECKING:
    from collections.abc import Iterable

ENTRIES_MAX = 64  # of each list
PORT_MAX = 65_535
PROTOCOLS = {"": 0, "tcp": 6, "udp": 17}  # IPPROTO_*
WORDS = {  # systemd.resource-control(5), IPAddressAllow=
    "any": ("0.0.0.0/0", "::/0"),
    "localhost": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/64"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}

_PORTS = re.compile(r"(?:(tcp|udp):)?(0|[1-9][0-9]{0,4})(?:-(0|[1-9][0-9]{0,4}))?", re.ASCII)


def subnets(key: str, given: Iterable[str]) -> tuple[str, ...]:
    """In CIDR notation, from that, plain addresses and WORDS."""
    found: list[str] = []
    for text in given:
        found += WORDS.get(text, ()) or [_subnet(key, text)]
    return tuple(dict.fromkeys(found))


def check_subnets(key: str, given: tuple[str, ...]) -> None:
    _check_number(key, given)
    for text in given:
        if _subnet(key, text) != text:
            raise InvalidArgs(f"{key} {shown(text)} has to be written {_subnet(key, text)}")


def ranges(given: Iterable[str]) -> tuple[str, ...]:
    """Port 0 is nobody's to bind, it has the kernel choose another: a range that begins with it begins with 1."""
    return tuple(re.sub(r"(^|:)0-", r"\g<1>1-", text) for text in given)


def check_ports(key: str, given: tuple[str, ...]) -> None:
    _check_number(key, given)
    for text in given:
        ports(key, text)


def ports(key: str, text: str) -> tuple[int, int, int]:
    """The protocol's number, 0 for all, the first port, and how many."""
    match = _PORTS.fullmatch(text)
    if not match:
        raise InvalidArgs(f"{key} {shown(text)} is not [tcp:|udp:]PORT[-PORT], as in 0-1023 or tcp:8080")
    protocol, first, last = PROTOCOLS[match[1] or ""], int(match[2]), int(match[3] or match[2])
    check_range(f"{key} port", first, 1, PORT_MAX)
    check_range(f"{key} port", last, first, PORT_MAX)
    return protocol, first, last - first + 1


def _subnet(key: str, text: str) -> str:
    try:
        if "%" not in text:  # an interface's zone
            return str(ip_network(text, strict=False))
    except ValueError:
        pass
    wanted = f"an address or subnet as in 10.0.0.0/8, nor one of {', '.join(WORDS)}"
    raise InvalidArgs(f"{key} {shown(text)} is not {wanted}")


def _check_number(key: str, given: tuple[str, ...]) -> None:
    if len(given) > ENTRIES_MAX:
        raise InvalidArgs(f"{key} has {len(given)} entries: the most is {ENTRIES_MAX}")
