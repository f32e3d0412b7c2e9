# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries are read however they are cut, and long lines are whole again."""

from __future__ import annotations

from mctl.entries import Entries, Lines, text

DATA = (
    b"__CURSOR=a\nMESSAGE=plain = text\n_STREAM_ID=1\n\n"
    b"__CURSOR=b\nMESSAGE\n\x0b\x00\x00\x00\x00\x00\x00\x00two\n\nlines\x00\n_STREAM_ID=1\n\n"
    b"__CURSOR=c\nMESSAGE=\n\n"
)
MESSAGES = [b"plain = text", b"two\n\nlines\x00", b""]


def test_entries_are_the_same_however_they_arrive() -> None:
    for size in (1, 2, 3, 7, 20, 1000):
        entries = Entries()
        found = [e for at in range(0, len(DATA), size) for e in entries.feed(DATA[at : at + size])]
        assert [e[b"MESSAGE"] for e in found] == MESSAGES, size
        assert [e[b"__CURSOR"] for e in found] == [b"a", b"b", b"c"]


def piece(message: bytes, stream: bytes, reason: bytes = b"") -> dict[bytes, bytes]:
    return {b"MESSAGE": message, b"_STREAM_ID": stream, **({b"_LINE_BREAK": reason} if reason else {})}


def test_pieces_of_two_streams_are_put_together() -> None:
    lines = Lines()
    assert lines.add(piece(b"aa", b"1", b"line-max")) is None
    assert lines.add(piece(b"xx", b"2", b"line-max")) is None
    assert lines.add(piece(b"bb", b"1", b"line-max")) is None
    assert lines.add(piece(b"other", b"3", b"pid-change")) == piece(b"other", b"3", b"pid-change")
    whole = lines.add(piece(b"cc", b"1"))
    assert whole is not None
    assert whole[b"MESSAGE"] == b"aabbcc"
    assert [e[b"MESSAGE"] for e in lines.rest()] == [b"xx"]
    assert lines.rest() == []


def test_a_line_says_when_and_who() -> None:
    entry = {b"MESSAGE": b"hi", b"__REALTIME_TIMESTAMP": b"1700000000000001", b"_HOSTNAME": b"h", b"_PID": b"7",
             b"SYSLOG_IDENTIFIER": b"web"}  # fmt: skip
    assert text(entry, stamped=False) == b"hi\n"
    assert text(entry, stamped=True).endswith(b":20.000001+00:00 h web[7]: hi\n")
