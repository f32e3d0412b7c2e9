# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, ids and object paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctl.failures import UsageError
from mctl.names import escape, is_name, looks_like_id, new_name, path_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.cli.conftest import Result
    from unit.cli.fake_service import FakeService



@pytest.mark.parametrize(
    ("label", "element"),
    [
        ("web", "web"),
        ("web-1", "web_2d1"),
        ("1web", "_31web"),
        ("", "_"),
        ("_", "_5f"),
        ("é", "_c3_a9"),
        ("../x", "_2e_2e_2fx"),
        ("0", "_30"),
    ],
)
def test_escape_as_sd_bus_path_encode(label: str, element: str) -> None:
    assert escape(label) == element


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_escape_gives_valid_and_distinct_elements(label: str) -> None:
    element = escape(label)
    assert element.isascii()
    assert element.replace("_", "a").isalnum()
    decoded = bytearray()
    rest = element if label else ""
    while rest:
        if rest[0] == "_":
            decoded.append(int(rest[1:3], 16))
            rest = rest[3:]
        else:
            decoded += rest[0].encode()
            rest = rest[1:]
    assert decoded.decode() == label


def test_path() -> None:
    assert path_of("my-web") == "/org/mctl1/container/my_2dweb"


@pytest.mark.parametrize("text", ["a", "0", "web-1", "x" * 63])
def test_names(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", ["", "-a", "A", "a_b", "a.b", "../x", "a\n", "é", "x" * 64])
def test_no_names(text: str) -> None:
    assert not is_name(text)


@pytest.mark.parametrize(("text", "near"), [("my_db", "; my-db would do"), ("Web.1", "; web-1 would do"), ("-", "")])
def test_who_gives_a_name_as_docker_takes_it_is_told_one_that_fits(text: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        new_name("--name", text)
    assert str(caught.value).endswith(f"beginning with a letter or digit{near}")


@pytest.mark.parametrize(("text", "expected"), [("abcd", True), ("ABCD", True), ("0" * 32, True), ("abc", False)])
def test_ids(text: str, expected: bool) -> None:  # noqa: FBT001
    assert looks_like_id(text) is expected
    assert not looks_like_id("wxyz")


@pytest.mark.parametrize("words", [("exec", "wbe", "true"), ("stop", "wbe"), ("inspect", "wbe"), ("logs", "wbe")])
def test_who_mistypes_a_name_is_told_the_likely_one(
    mctl: Callable[..., Result], service: FakeService, words: tuple[str, ...]
) -> None:
    service.add("web", State=("s", "running"))
    service.add("database", State=("s", "running"))
    kinds = b"container, image, network or volume" if words[0] == "inspect" else b"container"
    assert b"there is no " + kinds + b" 'wbe' that you may see (did you mean web?)" in mctl(*words).stderr
