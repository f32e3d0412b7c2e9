# SPDX-License-Identifier: GPL-3.0-or-later
"""The same answers, and the same complaints, as from the whole json."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mctld.runtime import plainjson

GOOD = [
    "null", " true\n", "0", "-1.5e3", '""', "[]", "{}", ' {"a": [1, {"b": null}], "\\u00e9\\n": "\\ud83d\\ude00"} \r\n',
    '{"a": 1, "a": 2}', str(2**64), "NaN",
]  # fmt: skip
BAD = [
    "", " ", "nonsense", "{", "[1,", '{"a" 1}', '{"a": 1,}', '"\x01"', "1 2", "[1] x", "{'a': 1}", "\ufeff{}", "\xa0{}",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_what_is_read(text: str) -> None:
    assert repr(plainjson.loads(text)) == repr(json.loads(text))
    assert repr(plainjson.loads(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_json(text: str) -> None:
    for given in (text, text.encode("utf-16")):
        with pytest.raises(ValueError) as expected:  # noqa: PT011
            json.loads(given)
        with pytest.raises(ValueError) as found:  # noqa: PT011
            plainjson.loads(given)
        assert str(found.value) == str(expected.value)


def test_other_encodings() -> None:
    assert plainjson.loads('{"a": "é"}'.encode("utf-16")) == {"a": "é"}
    assert plainjson.loads(b"\xef\xbb\xbf{}") == {}
    with pytest.raises(UnicodeDecodeError):
        plainjson.loads(b'"\xff"')


def test_what_is_nested_too_deeply() -> None:
    with pytest.raises(RecursionError):
        plainjson.loads("[" * 200_000)


@pytest.mark.parametrize(
    "value", [None, True, 5, -1.5, "é\n\x01", [], {}, {"a": [1, (2, "x")], "b": {"c": None}}, {1: 2}]
)
def test_what_is_written(value: Any) -> None:
    assert plainjson.dumps(value) == json.dumps(value)


def test_what_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="a set cannot be JSON"):
        plainjson.dumps({"a": set()})
