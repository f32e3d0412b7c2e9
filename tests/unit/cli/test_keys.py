# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys that leave a terminal, wherever reads happen to end."""

from __future__ import annotations

import pytest

from mctl.failures import UsageError
from mctl.keys import DEFAULT, Keys, sequence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ctrl-p,ctrl-q", DEFAULT),
        ("ctrl-a", b"\x01"),
        ("ctrl-Z", b"\x1a"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("a,b,~", b"ab~"),
        ("", b""),
    ],
)
def test_how_keys_are_written(text: str, expected: bytes) -> None:
    assert sequence("--detach-keys", text) == expected


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ctrl-pp", "ab", "a,,b", ",", "é", "\t", "alt-x", "Ctrl-p"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(UsageError, match=r"--detach-keys .* is no key"):
        sequence("--detach-keys", text)


@pytest.mark.parametrize(
    ("reads", "passed", "left"),
    [
        ([b"abc"], b"abc", False),
        ([b"ab\x10\x11cd"], b"ab", True),
        ([b"ab\x10", b"\x11"], b"ab", True),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10", b"\x10", b"\x11"], b"\x10", True),
        ([b"\x10"], b"", False),  # waits for what comes next
        ([b"\x11\x10x"], b"\x11\x10x", False),
    ],
)
def test_what_is_passed_on(reads: list[bytes], passed: bytes, *, left: bool) -> None:
    keys = Keys(DEFAULT)
    found = [keys.feed(data) for data in reads]
    assert b"".join(data for data, _ in found) == passed
    assert [gone for _, gone in found] == [False] * (len(reads) - 1) + [left]


def test_a_sequence_that_begins_like_itself() -> None:
    keys = Keys(b"aab")
    assert [keys.feed(bytes([byte])) for byte in b"aaab"] == [(b"", False), (b"", False), (b"a", False), (b"", True)]


def test_without_keys_nothing_leaves() -> None:
    assert Keys(b"").feed(DEFAULT) == (DEFAULT, False)
