# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is called what, for whom: names are those of an owner's containers on a network, and known to no others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .entry import Entry

    Address = IPv4Address | IPv6Address
    View = tuple[str, int]  # network, owner


@dataclass(slots=True)
class _Names:
    """What one owner's containers on one network see of each other."""

    holders: dict[str, dict[str, tuple[Address, ...]]] = field(default_factory=dict)  # name -> container -> addresses
    called: dict[Address, str] = field(default_factory=dict)


class Table:
    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._askers: dict[str, str] = {}  # address -> container
        self._views: dict[View, _Names] = {}
        self._hosted: dict[str, str] = {}  # name -> container
        self._gateways: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, identity: str, entry: Entry) -> None:
        self.drop(identity)
        self._entries[identity] = entry
        if entry.hosted:
            self._hosted[entry.names[0]] = identity
        self._gateways.update(place.gateway for place in entry.places if place.gateway)
        for place in entry.places:
            if place.gateway:
                self._askers[place.address] = identity
            seen = self._views.setdefault((place.network, entry.owner), _Names())
            addresses = (ip_address(place.address), ip_address(place.address6))
            for name in (*entry.names, *place.aliases):
                seen.holders.setdefault(name.lower(), {})[identity] = addresses
            seen.called.update(dict.fromkeys(addresses, entry.names[0]))

    def drop(self, identity: str) -> None:
        entry = self._entries.pop(identity, None)
        if entry is None:
            return
        if self._hosted.get(entry.names[0]) == identity:
            del self._hosted[entry.names[0]]
        self._gateways -= Counter(place.gateway for place in entry.places if place.gateway)
        for place in entry.places:
            if self._askers.get(place.address) == identity:
                del self._askers[place.address]
            view = (place.network, entry.owner)
            seen = self._views[view]
            for name in dict.fromkeys(map(str.lower, (*entry.names, *place.aliases))):
                for address in seen.holders[name].pop(identity, ()):
                    seen.called.pop(address, None)
                if not seen.holders[name]:
                    del seen.holders[name]
            if not seen.holders:
                del self._views[view]

    def replace_all(self, entries: Mapping[str, Entry]) -> None:
        for identity in set(self._entries) - set(entries):
            self.drop(identity)
        for identity, entry in entries.items():
            if self._entries.get(identity) != entry:
                self.put(identity, entry)

    def gateways(self) -> set[str]:
        return set(self._gateways)

    def is_host(self, address: str) -> bool:
        """It asks from the address that it asks at."""
        return address in self._gateways

    def hosted(self, name: str) -> tuple[Address, ...] | None:
        """Of the container that the host may know by this name, where it reaches it; None: there is none."""
        found = self._entries.get(self._hosted.get(name, ""))
        if found is None:
            return None
        places = [place for place in found.places if place.gateway]
        return tuple(ip_address(each) for place in places for each in (place.address, place.address6)) or None

    def asker(self, address: str) -> Entry | None:
        """Whose address it is."""
        return self._entries.get(self._askers.get(address, ""))

    def addresses(self, asker: Entry, name: str) -> tuple[Address, ...] | None:
        """Of all containers of that name that the asker may know; None: there is none."""
        found = [
            address
            for seen in self._seen_by(asker)
            for addresses in seen.holders.get(name, {}).values()
            for address in addresses
        ]
        return tuple(dict.fromkeys(found)) or None

    def name(self, asker: Entry, address: Address) -> str | None:
        return next((seen.called[address] for seen in self._seen_by(asker) if address in seen.called), None)

    def _seen_by(self, asker: Entry) -> Iterator[_Names]:
        views: Iterable[View] = dict.fromkeys((place.network, asker.owner) for place in asker.places)
        return (self._views[view] for view in views if view in self._views)
