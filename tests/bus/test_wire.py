# SPDX-License-Identifier: GPL-3.0-or-later
"""Framing and header decoding, byte by byte."""

from __future__ import annotations

import gc

import pytest
from dbus_next.signature import SignatureTree, Variant

from mctld.bus.codec import (
    SIGNATURES_MAX,
    Header,
    Kind,
    Message,
    decode_header,
    encode,
)
from mctld.bus.descriptors import Descriptors
from mctld.bus.wire import ASKED_MAX, Frame, Framer, Malformed

CALL = Header(Kind.CALL, 5, 7, "/a", "b.c", "D", "", 0, "e.f", "", "sat")
REPLY = Header(Kind.RETURN, 1, 8, reply_serial=7, destination=":1.2", signature="s")


def test_a_message_survives_any_fragmentation() -> None:
    data = encode(CALL, ["text", [1, 2]]) + encode(REPLY, ["done"])
    for step in (1, 3, 16, 17, 1000):
        framer = Framer()
        frames = [f for start in range(0, len(data), step) for f in framer.feed(data[start : start + step])]
        assert [decode_header(f) for f in frames] == [CALL, REPLY]
        assert [Message(decode_header(f), f, Descriptors()).body() for f in frames] == [["text", [1, 2]], ["done"]]


def test_the_body_of_an_oversized_call_is_never_kept() -> None:
    big = Header(Kind.CALL, 0, 9, "/a", "b.c", "D", signature="s")
    framer = Framer()
    frames = []
    data = encode(big, ["x" * (ASKED_MAX + 1)]) + encode(CALL, ["after", []])
    for start in range(0, len(data), 1 << 16):
        frames += list(framer.feed(data[start : start + (1 << 16)]))
        assert len(framer._buffer) <= 1 << 16
    assert [f.oversized for f in frames] == [True, False]
    assert [decode_header(f) for f in frames] == [big, CALL]


def test_a_big_reply_is_kept() -> None:
    (frame,) = Framer().feed(encode(REPLY, ["x" * (2 * ASKED_MAX)]))
    assert not frame.oversized


@pytest.mark.parametrize("data", [b"x" * 16, b"l\1\0\2" + bytes(12), b"l\1\0\1" + b"\xff" * 12])
def test_what_no_bus_daemon_sends_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        list(Framer().feed(data))


def test_a_broken_header_is_refused() -> None:
    data = bytearray(encode(CALL, ["", []]))
    data[20:24] = b"\xff" * 4  # the length of the path
    (frame,) = Framer().feed(bytes(data))
    with pytest.raises(Malformed):
        decode_header(frame)


def message_of(fields: bytes) -> bytes:
    head = b"l\1\0\1" + bytes(4) + (3).to_bytes(4, "little") + len(fields).to_bytes(4, "little")
    return head + fields + bytes(-len(fields) % 8)


@pytest.mark.parametrize(
    "unknown",
    [
        b"\x2a\1y\0\7",
        b"\x2a\1v\0\1u\0\0\7" + bytes(3),
        b"\x2a\2as\0" + bytes(3 + 4),
        b"\x2a\1s\0\1" + bytes(3) + b"x\0",
        b"\x2a\1u\0\7" + bytes(3),
    ],
)
def test_fields_that_nobody_has_heard_of_are_passed_over(unknown: bytes) -> None:
    known = b"\1\1o\0" + (2).to_bytes(4, "little") + b"/a\0" + bytes(5)
    member = b"\3\1s\0" + (1).to_bytes(4, "little") + b"D\0"
    between = unknown + bytes(-len(unknown) % 8)
    for fields in (known + between + member, between + known + member, known + member + bytes(6) + unknown):
        (frame,) = Framer().feed(message_of(fields))
        assert decode_header(frame) == Header(Kind.CALL, 0, 3, "/a", "", "D")


@pytest.mark.parametrize("cut", range(1, 11))
def test_a_field_that_is_longer_than_the_header_is_refused(cut: int) -> None:
    whole = b"\1\1o\0" + (2).to_bytes(4, "little") + b"/a\0"
    (frame,) = Framer().feed(message_of(whole[:-cut]))
    with pytest.raises(Malformed):
        decode_header(frame)


def test_big_endian() -> None:
    fields = b"\1\1o\0" + (2).to_bytes(4, "big") + b"/a\0" + bytes(5) + b"\3\1s\0" + (1).to_bytes(4, "big") + b"D\0"
    head = b"B\1\0\1" + (0).to_bytes(4, "big") + (3).to_bytes(4, "big") + len(fields).to_bytes(4, "big")
    (frame,) = Framer().feed(head + fields + bytes(-len(fields) % 8))
    assert decode_header(frame) == Header(Kind.CALL, 0, 3, "/a", "", "D")


def test_signatures_are_not_remembered_without_bound() -> None:
    """dbus-next keeps each one for ever."""
    letters = "ybnqiuxtdsogh"
    for first in letters:
        for second in letters:
            for third in letters:
                SignatureTree._get(f"({first}{second}{third})")
    assert len(SignatureTree._cache) <= SIGNATURES_MAX
    assert SignatureTree._get("a{sv}").types[0].token == "a"


def test_a_body_that_ends_early_is_not_made_up() -> None:
    whole = encode(CALL, ["text", [1, 2]])
    (frame,) = Framer().feed(whole)
    header = decode_header(frame)
    for cut in range(1, frame.size - frame.body):
        with pytest.raises(EOFError):
            Message(header, Frame(whole[:-cut], frame.body, frame.size - cut), Descriptors()).body()


def test_nothing_is_left_for_the_collector() -> None:
    """Of cycles it would have to find some at each start, and stop everybody meanwhile."""
    call = Header(Kind.CALL, serial=1, path="/", member="M", signature="sa{sv}")
    body = ["text", {"a": Variant("as", ["b"]), "c": Variant("(ub)", [1, True])}]
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            (frame,) = Framer().feed(encode(call, body))
            Message(decode_header(frame), frame, Descriptors()).body()
        assert gc.collect() < 100
    finally:
        gc.enable()
