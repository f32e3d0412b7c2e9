# SPDX-License-Identifier: GPL-3.0-or-later
"""Values go over a real bus and come back as they were; what no message can hold is refused before."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from jeepney import HeaderFields, MessageType, new_error, new_method_return
from jeepney.io.blocking import open_dbus_connection

from mctl import sdbus

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSAL = "org.example.Error.No"


class Mirror:
    """Answers a call with its own body; the member Refuse with an error, Leave with nothing."""

    def __init__(self, address: str) -> None:
        self._connection = open_dbus_connection(address, enable_fds=True)
        self.name: str = self._connection.unique_name
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            message = self._connection.receive()
            fields = message.header.fields
            if message.header.message_type is not MessageType.method_call:
                continue
            member = fields[HeaderFields.member]
            if member == "Leave":
                self._connection.close()
                return
            signature = fields.get(HeaderFields.signature)
            reply = new_method_return(message, signature, message.body)
            if member == "Refuse":
                reply = new_error(message, REFUSAL, signature, message.body)
            self._connection.send(reply)

    def join(self) -> None:
        self._thread.join()


@pytest.fixture
def mirror(bus: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
    mirror = Mirror(bus)
    yield mirror
    connection = sdbus.Bus()
    connection.send(mirror.name, "/", "org.example.Any", "Leave", "", ())
    mirror.join()
    connection.close()


@pytest.fixture
def connection(mirror: Mirror) -> Iterator[sdbus.Bus]:
    connection = sdbus.Bus()
    yield connection
    connection.close()


def ask(connection: sdbus.Bus, mirror: Mirror, signature: str, *body: Any, member: str = "Mirror") -> sdbus.Reply:
    serial = connection.send(mirror.name, "/", "org.example.Any", member, signature, body)
    reply = connection.receive(wait=True)
    assert reply is not None
    assert reply.serial == serial
    return reply


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("", ()),
        ("ybnqiuxtd", (255, True, -(2**15), 2**16 - 1, -(2**31), 2**32 - 1, -(2**63), 2**64 - 1, 0.5)),
        ("bsog", (False, "Grüße, 世界", "/org/mctl1", "a{sv}")),
        ("asasay", ([], ["", "x"], b"")),
        ("ayaay", (b"\0\xff", [b"", b"\0"])),
        ("a{sv}", ({},)),
        ("a{sv}t", ({"A": ("as", ["x"]), "B": ("v", ("a{sv}", {"C": ("b", True)})), "D": ("t", 2**64 - 1)}, 7)),
        ("aa{sv}", ([{}, {"Name": ("s", "web")}],)),
        ("a(sa(tu)v)", ([("a", [(1, 2), (3, 4)], ("(ss)", ("b", "c"))), ("", [], ("ay", b"x"))],)),
        ("a{s(iay)}a{ta{ss}}", ({"x": (1, b"y")}, {1: {"a": "b"}, 2: {}})),
        ("aas", ([["x"], [], ["y", "z"]],)),
        ("av", ([("i", -1), ("as", []), ("av", [("s", "deep")])],)),
    ],
)
def test_there_and_back(connection: sdbus.Bus, mirror: Mirror, signature: str, body: tuple[Any, ...]) -> None:
    reply = ask(connection, mirror, signature, *body)
    assert (reply.error, reply.body) == ("", body)


def test_much(connection: sdbus.Bus, mirror: Mirror) -> None:
    """More than a socket takes at once, in both directions."""
    body = ([{"Name": ("s", "x" * 1000)}] * 3000,)
    assert ask(connection, mirror, "aa{sv}", *body).body == body


ROW = {"Name": ("s", "web"), "OwnerUID": ("u", 7), "Command": ("as", ["a", "b"]), "Enabled": ("b", True)}


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{}],
        [{}, {}, ROW],
        [ROW] * 3,
        [ROW, {**ROW, "Name": ("s", "Grüße"), "OwnerUID": ("u", 8), "Command": ("as", [])}, ROW],
        [ROW, {**ROW, "Name": ("i", -1)}],
        [ROW, {**ROW, "Command": ("s", "x")}],
        [ROW, {**ROW, "More": ("t", 1)}, ROW],
        [ROW, {"Name": ("s", "less")}],
        [ROW, dict(reversed(ROW.items()))],
        [ROW, {**ROW, "Deep": ("a{sv}", {"x": ("a(sq)", [("y", 1)])})}, {}],
    ],
)
def test_rows_that_are_alike_and_rows_that_are_not(
    connection: sdbus.Bus, mirror: Mirror, rows: list[dict[str, Any]]
) -> None:
    assert ask(connection, mirror, "aa{sv}", rows).body == (rows,)


def test_descriptors(connection: sdbus.Bus, mirror: Mirror) -> None:
    reading, writing = os.pipe()
    first = ask(connection, mirror, "ha{sv}", reading, {"Also": ("h", writing)})
    taken, also = first.body[0], first.body[1]["Also"][1]
    assert not os.get_inheritable(taken)
    os.write(also, b"through")
    assert os.read(taken, 10) == b"through"
    for fd in (reading, writing, taken, also):
        os.close(fd)


def test_errors(connection: sdbus.Bus, mirror: Mirror) -> None:
    for body, sentence in ((("not so",), "not so"), ((), "")):
        reply = ask(connection, mirror, "s" * len(body), *body, member="Refuse")
        assert (reply.error, reply.sentence) == (REFUSAL, sentence)
    serial = connection.send("org.example.Nobody", "/", "org.example.Any", "Any", "", ())
    reply_ = connection.receive(wait=True)
    assert reply_ is not None
    assert (reply_.serial, reply_.error) == (serial, "org.freedesktop.DBus.Error.ServiceUnknown")


@pytest.mark.parametrize(
    ("signature", "value"),
    [("u", -1), ("u", 2**32), ("y", 256), ("q", -1), ("t", 2**64), ("i", 2**31), ("s", "a\0b"), ("s", "\udcff"),
     ("av", [("s", "\0")]), ("a{su}", {"x": 2**32})],
)  # fmt: skip
def test_what_no_message_can_hold(connection: sdbus.Bus, mirror: Mirror, signature: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"range|NUL|surrogates"):
        connection.send(mirror.name, "/", "org.example.Any", "Mirror", signature, (value,))
    assert ask(connection, mirror, "s", "still there").body == ("still there",)


def test_what_is_no_path_or_signature(connection: sdbus.Bus, mirror: Mirror) -> None:
    for signature, value in (("o", "no path"), ("g", "!")):
        with pytest.raises(OSError, match="Invalid argument"):
            connection.send(mirror.name, "/", "org.example.Any", "Mirror", signature, (value,))


def test_without_waiting(connection: sdbus.Bus, mirror: Mirror) -> None:
    assert connection.receive(wait=False) is None
    serials = [connection.send(mirror.name, "/", "org.example.Any", "Mirror", "i", (each,)) for each in range(20)]
    found: dict[int, tuple[Any, ...]] = {}
    while len(found) < len(serials):
        reply = connection.receive(wait=True)
        assert reply is not None
        found[reply.serial] = reply.body
    assert [found[serial] for serial in serials] == [(each,) for each in range(20)]
    assert connection.receive(wait=False) is None


def test_no_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
    with pytest.raises(FileNotFoundError):
        sdbus.Bus()


@pytest.mark.parametrize(
    ("signature", "kinds"),
    [
        ("", []),
        ("s", ["s"]),
        ("sa{sv}t", ["s", "a{sv}", "t"]),
        ("aa{s(ia(tt))}ay(s)v", ["aa{s(ia(tt))}", "ay", "(s)", "v"]),
    ],
)
def test_complete_types(signature: str, kinds: list[str]) -> None:
    assert sdbus.complete(signature) == kinds
