# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties as bytes, an entry at a time: what dbus-next's marshaller would write of them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from dbus_next._private.marshaller import Marshaller
from dbus_next.signature import Variant
from hypothesis import given
from hypothesis import strategies as st

from mctld.bus import codec
from mctld.bus.codec import Unmarshallable, encode_properties

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=150)
OF_A_TYPE = {
    "s": TEXT,
    "b": st.booleans(),
    "i": st.integers(-(2**31), 2**31 - 1),
    "u": st.integers(0, 3) | st.integers(0, 2**32 - 1),
    "t": st.integers(0, 3) | st.integers(0, 2**64 - 1),
    "as": st.lists(TEXT, max_size=3),
    "a{ss}": st.dictionaries(TEXT, TEXT, max_size=3),
    "a{st}": st.dictionaries(TEXT, st.integers(0, 2**64 - 1), max_size=2),
    "a(ssqqq)": st.lists(st.tuples(TEXT, TEXT, *[st.integers(0, 65535)] * 3).map(list), max_size=2),
}
VALUE = st.sampled_from(sorted(OF_A_TYPE)).flatmap(lambda type_: st.tuples(st.just(type_), OF_A_TYPE[type_]))
NAMES = st.sampled_from(["A", "Id", "MemoryMax", "CPUQuotaPerSecUSec"]) | st.text("abc", min_size=1, max_size=9)


@pytest.fixture(autouse=True, scope="module")
def few() -> Iterator[None]:
    """What is kept of other tests is nothing to these."""
    codec._kept_entry.cache_clear()
    yield
    codec._kept_entry.cache_clear()


@given(st.dictionaries(NAMES, VALUE, max_size=12))
def test_the_same_bytes(properties: dict[str, tuple[str, Any]]) -> None:
    whole = Marshaller("a{sv}", [{name: Variant(*value) for name, value in properties.items()}])
    whole.marshall()
    for _ in range(2):  # made, and kept
        made = encode_properties((name, *value) for name, value in properties.items())
        assert made.content == bytes(whole.buffer[8:])


def test_values_that_are_equal_and_of_other_types() -> None:
    for type_, value in (("b", True), ("u", 1), ("t", 1), ("i", 1), ("b", True)):
        whole = Marshaller("a{sv}", [{"X": Variant(type_, value)}])
        whole.marshall()
        assert encode_properties([("X", type_, value)]).content == bytes(whole.buffer[8:])


@pytest.mark.parametrize(("type_", "value"), [
    ("s", 5), ("s", None), ("u", "1"), ("u", -1), ("t", 2**64), ("as", {}), ("as", ["a\0b"]), ("s", "a\0b"),
    ("a{ss}", []), ("as", [1]),
])  # fmt: skip
def test_what_does_not_fit(type_: str, value: object) -> None:
    with pytest.raises(Unmarshallable, match="Wrong"):
        encode_properties([("Right", "s", "x"), ("Wrong", type_, value)])


def test_few_are_kept() -> None:
    for number in range(codec.ENTRIES_MAX + 10):
        encode_properties([("Id", "s", str(number))])
    encode_properties([("Long", "s", "x" * 5000), ("Words", "as", ["x" * 5000])])
    assert codec._kept_entry.cache_info().currsize == codec.ENTRIES_MAX
