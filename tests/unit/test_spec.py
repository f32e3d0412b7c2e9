# SPDX-License-Identifier: GPL-3.0-or-later
"""A Spec that exists is valid; one that would not be says why."""

from __future__ import annotations

import json
import random
import re
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctld.bus.making import completed
from mctld.configuration import Configuration
from mctld.errors import InvalidArgs
from mctld.spec import Spec, User, check_name, check_new_labels

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("name", ["a", "0", "web-1", "x" * 63])
def test_names_that_are_accepted(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "A", "a.b", "../x", "a/b", "a b", "a\n", "a\n[Service]", "x" * 64, "é", "a\0", "a@b", "a%i"]
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgs, match=r"name .* is not valid: use 1 to 63"):
        check_name(name)


def accepted(name: str) -> bool:
    try:
        check_name(name)
    except InvalidArgs:
        return False
    return True


@given(st.text(max_size=80))
def test_an_accepted_name_fits_the_grammar(name: str) -> None:
    assert not accepted(name) or re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", name)


def test_ten_thousand_names() -> None:
    """Names, and those where one character is any other: exactly what fits the grammar is accepted."""
    pick = random.Random(1)
    found = {True: 0, False: 0}
    for _ in range(10_000):
        name = "".join(pick.choices("abcxyz0123456789-", k=pick.randrange(1, 66)))
        place = pick.randrange(len(name))
        other = pick.choice(["", "\n", ".", "@", "%", "\\", "/", "A", "\u0430", chr(pick.randrange(0xD800))])
        name = pick.choice([name, name[:place] + other + name[place + 1 :]])
        fits = re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", name) is not None
        assert accepted(name) == fits, name
        found[fits] += 1
    assert min(found.values()) > 1_000


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("0", User()),
        ("1000", User("1000")),
        ("1:2", User("1", "2")),
        ("4294967294", User("4294967294")),
        ("www-data", User("www-data")),
        ("root:adm", User("root", "adm")),
        ("nobody:0", User("nobody", "0")),
    ],
)
def test_users_that_are_accepted(text: str, user: User) -> None:
    assert User.parse(text) == user


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1:",
        ":1",
        "-1",
        "0x1",
        "01",
        " 1",
        "1 ",
        "root:",
        "a:b:c",
        "2147483648x",
        "a b",
        "-root",
        "a/b",
        "x" * 34,
        "4294967295",
        "4294967296",
        "1:01",
        "١",
    ],
)
def test_users_that_are_refused(text: str) -> None:
    """CVE-2024-40635: what cannot be read must never become root."""
    with pytest.raises(InvalidArgs):
        User.parse(text)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"command": ()}, "Command is empty"),
        ({"command": ("",)}, "Command is empty"),
        ({"command": ("a\0b",)}, "NUL"),
        ({"command": ("x", "y" * 200_000)}, "longer than 131072 bytes"),
        ({"environment": ("NOVALUE",)}, "is not NAME=VALUE"),
        ({"environment": ("A B=c",)}, "is not NAME=VALUE"),
        ({"environment": ("A\nB=c",)}, "is not NAME=VALUE"),
        ({"environment": ("A=\0",)}, "NUL"),
        ({"environment": tuple(f"A{i}=" for i in range(1025))}, "1025 variables"),
        ({"working_directory": "tmp"}, "not an absolute path"),
        ({"working_directory": "/a\nb"}, "control character"),
        ({"hostname": "-x"}, "Hostname '-x' is not valid"),
        ({"hostname": "a\n"}, "is not valid"),
        ({"labels": (("a\x1b[1m", "b"),)}, "control character"),
        ({"stop_signal": 65}, "StopSignal 65 is out of range"),
        ({"timeout_stop_usec": -1}, "TimeoutStopUSec -1 is out of range"),
    ],
)
def test_what_a_spec_refuses(make_spec: Callable[..., Spec], changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=sentence):
        make_spec(**changes)


def test_a_long_value_is_shortened_in_the_sentence(make_spec: Callable[..., Spec]) -> None:
    with pytest.raises(InvalidArgs) as caught:
        make_spec(name="x" * 100_000)
    assert len(str(caught.value)) < 300


def test_a_spec_cannot_be_changed(make_spec: Callable[..., Spec]) -> None:
    with pytest.raises(FrozenInstanceError):
        make_spec().name = "other"  # type: ignore[misc]


def test_labels_of_what_is_to_be_made_have_a_bound_in_all(make_spec: Callable[..., Spec]) -> None:
    """1,024 containers of a user with 64 labels of 4 KiB each would be a quarter of a GiB in the service."""
    many = tuple((f"key{number}", "v" * 4000) for number in range(9))
    assert check_new_labels(many[:8]) == many[:8]
    with pytest.raises(InvalidArgs, match="Labels have 36036 bytes in all: the most is 32768"):
        check_new_labels(many)
    assert make_spec(labels=many).labels == many  # as an older version has stored it


def test_labels_of_an_image_fill_what_room_there_is() -> None:
    texts = {f"key{number}": "v" * 4000 for number in range(9)}
    config = {"rootfs": {"type": "layers", "diff_ids": []}, "config": {"Cmd": ["sh"], "Labels": {**texts, "z": "1"}}}
    image = Configuration.parse(json.dumps(config))
    found = completed({"Image": "i", "Labels": {"own": "w" * 4000, "key1": "mine"}}, image)["Labels"]
    assert set(found) == {"own", "key1", "key0", *(f"key{number}" for number in range(2, 8)), "z"}
    assert found["key1"] == "mine"
    assert check_new_labels(tuple(found.items()))
