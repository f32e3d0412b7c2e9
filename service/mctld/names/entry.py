# SPDX-License-Identifier: GPL-3.0-or-later
"""What the name server knows of a container, as the service tells it: one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Place:
    """A container's addresses in a network. `gateway`: the host's address there, where it is asked for names; empty: it
    has none, and reaches nobody there.

    aliases: more names of it there.
    """

    network: str
    gateway: str
    address: str
    address6: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """names: its own first, then its aliases. servers: asked for all other names; none: those of the host.

    hosted: whether the host may know it, by its own name.
    outside: whether other names are looked up at all. A container that is only on internal networks reaches nobody
    outside, and must not by way of name servers either.
    """

    owner: int
    names: tuple[str, ...]
    places: tuple[Place, ...]
    servers: tuple[str, ...] = ()
    outside: bool = True
    hosted: bool = False


def put(identity: str, entry: Entry) -> bytes:
    return _line({"put": identity, "entry": asdict(entry)})


def drop(identity: str) -> bytes:
    return _line({"drop": identity})


def replace_all(entries: Mapping[str, Entry]) -> bytes:
    """These and no others; nobody who asks meanwhile misses one."""
    return _line({"all": {identity: asdict(entry) for identity, entry in entries.items()}})


def restored(found: dict[str, object]) -> Entry:
    match found:
        case {
            "owner": int(owner), "names": list(names), "places": list(places), "servers": list(servers),
            "outside": bool(outside), "hosted": bool(hosted),
        }:  # fmt: skip
            found_places = tuple(Place(**{**place, "aliases": tuple(place.get("aliases", ()))}) for place in places)
            return Entry(owner, tuple(names), found_places, tuple(servers), outside, hosted)
    raise ValueError("not an entry")


def _line(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
