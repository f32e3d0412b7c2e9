# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers a list is about, and what it tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..bounds import shown
from ..errors import InvalidArgs
from ..state import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .contract import Property
    from .engine import Container

CHOICE = {"States": "as", "OwnerUID": "u", "Names": "as", "Labels": "as"}
FILTER = {**CHOICE, "Properties": "as"}


@dataclass(frozen=True)
class Listing:
    """None is any. Properties are in the order of the interface; all of them where none is named."""

    properties: tuple[Property, ...]
    states: frozenset[str] | None = None
    owner_uid: int | None = None
    names: frozenset[str] | None = None
    labels: tuple[tuple[str, str | None], ...] = ()  # without a value: whatever it is

    @staticmethod
    def parse(values: Mapping[str, Any], known: Mapping[str, Property]) -> Listing:
        """From parsed FILTER options. InvalidArgs names what is not known."""
        return Listing(
            properties=_properties(values.get("Properties"), known),
            states=_states(values["States"]) if "States" in values else None,
            owner_uid=values.get("OwnerUID"),
            names=frozenset(values["Names"]) if "Names" in values else None,
            labels=tuple(_label(text) for text in values.get("Labels", ())),
        )

    def has(self, container: Container) -> bool:
        if self.states is not None and container.state.value not in self.states:
            return False
        if self.owner_uid is not None and container.owner_uid != self.owner_uid:
            return False
        if self.names is not None and container.name not in self.names:
            return False
        return not self.labels or _all_on(self.labels, dict(container.spec.labels))


def _all_on(wanted: Iterable[tuple[str, str | None]], labels: Mapping[str, str]) -> bool:
    return all(key in labels and value in (None, labels[key]) for key, value in wanted)


def _states(names: Iterable[str]) -> frozenset[str]:
    known = [state.value for state in State]
    for name in names:
        if name not in known:
            raise InvalidArgs(f"filter States {shown(name)} is not known; known are {', '.join(known)}")
    return frozenset(names)


def _label(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    return key, value if equals else None


def _properties(names: Iterable[str] | None, known: Mapping[str, Property]) -> tuple[Property, ...]:
    wanted = frozenset(known if names is None else names)
    for name in sorted(wanted - known.keys()):
        raise InvalidArgs(f"filter Properties {shown(name)} is not known: see org.mctl1.Container in org.mctl1(5)")
    return tuple(each for name, each in known.items() if name in wanted)
