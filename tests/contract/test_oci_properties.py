# SPDX-License-Identifier: GPL-3.0-or-later
"""No property of the runtime specification is left out in silence, and the reader asks for none that it has not."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from contract.oci_properties import COMPLETE, IGNORED, NAMES, REFUSED, REQUIRED
from mctld.errors import InvalidArgs
from mctld.oci import configuration, reading
from mctld.runtime.seccomp import oci

if TYPE_CHECKING:
    from collections.abc import Iterator

MACHINE, RELEASE = "x86_64", "6.12.0"
# Objects whose keys are the caller's.
FREE = ("annotations", "linux.sysctl", "linux.resources.unified", "linux.netDevices", "linux.resources.rdma")


Place = tuple[str | int, ...]


def published(place: Place) -> str:
    """The name in the schema; empty for a key that is the caller's."""
    name, own = "", False
    for step in place:
        if isinstance(step, int):
            name += "[]"
        elif own:
            name, own = f"{name}.*", False
        else:
            name = f"{name}.{step}".removeprefix(".")
            own = name in FREE
    return "" if name.endswith(".*") else name


def place_of(text: str) -> Place:
    """Of config.json.linux.devices[0].type, and of names in the schema, where a list means its first entry."""
    steps = re.findall(r"[^.\[\]]+", text.removeprefix("config.json.").replace("[]", "[0]"))
    return tuple(int(step) if step.isdecimal() else step for step in steps)


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every property that the document has."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*place, key)
            yield from places(item, (*place, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from places(item, (*place, number))


HONOURED = {name for place in places(COMPLETE) if (name := published(place))}


def is_below_refused(name: str) -> bool:
    return any(name == refused or name.startswith((f"{refused}.", f"{refused}[")) for refused in REFUSED)


@pytest.mark.parametrize("name", NAMES)
def test_every_property_has_one_answer(name: str) -> None:
    answers = (name in HONOURED, is_below_refused(name), name in IGNORED)
    # Of objects that hold nothing but what is refused only the inside has an answer.
    holds_refused = any(refused.startswith(f"{name}.") for refused in REFUSED)
    assert sum(answers) == 1 or (not any(answers) and holds_refused), answers


def test_no_answer_is_about_what_is_not_published() -> None:
    assert {*HONOURED, *REFUSED, *IGNORED} <= set(NAMES)
    assert len(NAMES) == len(set(NAMES))


def holder(document: dict[str, Any], place: Place) -> dict[str | int, Any]:
    """In which the property stands."""
    found: Any = document
    for step in place[:-1]:
        found = found[step] if isinstance(step, int) else found.setdefault(step, {})
    assert isinstance(found, dict)
    return found


def complete(place: Place, value: Any = None) -> dict[str, Any]:
    """With another value there, or without the property."""
    document = copy.deepcopy(COMPLETE)
    if value is None:
        del holder(document, place)[place[-1]]
    else:
        holder(document, place)[place[-1]] = value
    return document


def made_of(document: dict[str, Any]) -> Any:
    """All that a configuration makes, the filter by what it does; or the sentence that refuses it."""
    try:
        found = configuration.read(reading.read(json.dumps(document).encode(), "config.json"), "/bundle")
        made = dict(found.__dict__)
        text = made.pop("seccomp")
        profile = oci.profile(text, frozenset(), MACHINE, RELEASE, notify=True) if text else None
    except InvalidArgs as error:
        return str(error)
    return {**made, "profile": profile}


@pytest.mark.parametrize("place", [place for place in places(COMPLETE) if published(place)], ids=str)
def test_what_is_honoured_makes_a_difference(place: Place) -> None:
    whole, lacking = made_of(COMPLETE), made_of(complete(place))
    assert not isinstance(whole, str), whole
    assert lacking != whole
    if published(place) in REQUIRED:
        assert isinstance(lacking, str)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_by_its_name(name: str) -> None:
    sentence = made_of(complete(place_of(name), REFUSED[name]))
    assert isinstance(sentence, str)
    assert published(place_of(sentence.partition(" ")[0])) == name


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_ignored_makes_none(name: str) -> None:
    assert made_of(complete(place_of(name), "anything")) == made_of(COMPLETE)


def test_the_reader_asks_for_what_is_published_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter has a reader of its own, which refuses every key that it does not know."""
    asked: set[str] = set()
    plain = reading.Value.__getitem__

    def record(self: reading.Value, key: str) -> reading.Value:
        found = plain(self, key)
        asked.add(published(place_of(found.path)))
        return found

    monkeypatch.setattr(reading.Value, "__getitem__", record)
    assert not isinstance(made_of(COMPLETE), str)
    assert asked <= set(NAMES)
    expected = {name for name in NAMES if name in HONOURED or name in REFUSED}
    of_filters = {name for name in expected if name.startswith("linux.seccomp.")}
    of_members = {name for name in expected if name.startswith("linux.timeOffsets.") and name.count(".") == 2}
    assert expected - asked <= of_filters | of_members
