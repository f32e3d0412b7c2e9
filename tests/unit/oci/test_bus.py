# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with systemd: nothing waits that need not, and whoever refuses is told of."""

from __future__ import annotations

import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest

from mctld.errors import SetupFailed
from mctld.oci.cgroup import bus, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCEPTED = b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n"
SENDER = ":1.1"
JOB = "/org/freedesktop/systemd1/job/7"
PATIENCE = 10.0


def message(kind: int, signature: str, body: list[Any], *fields: tuple[int, tuple[str, Any]]) -> bytes:
    content, header = wire.Writer(), wire.Writer()
    for each, item in zip(wire.types(signature), body, strict=True):
        content.write(each, item)
    header.data += struct.pack("<cBBBII", b"l", kind, 0, 1, len(content.data), 1)
    named = [*fields, (wire.SENDER, ("s", SENDER)), (wire.SIGNATURE, ("g", signature))]
    header.write("a(yv)", named)
    header.pad(8)
    return bytes(header.data + content.data)


def answer(to: int, signature: str = "", *body: Any) -> bytes:
    return message(wire.RETURN, signature, [*body], (wire.REPLY_SERIAL, ("u", to)))


def refusal(to: int, name: str) -> bytes:
    return message(
        wire.ERROR, "s", ["not here"], (wire.REPLY_SERIAL, ("u", to)), (wire.ERROR_NAME, ("s", f"{bus.NAME}.{name}"))
    )


def removed(result: str) -> bytes:
    return message(wire.SIGNAL, "uoss", [7, JOB, "one.scope", result], (wire.MEMBER, ("s", "JobRemoved")))


GREETED = ACCEPTED + answer(1, "s", ":1.2") + answer(2)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes, bytes], None]]:
    """One connection: when it has heard the words, it says all that it has to say, and hangs up."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.settimeout(PATIENCE)
    listener.bind(str(tmp_path / "bus"))
    listener.listen()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    threads = []

    def converse(words: bytes, said: bytes) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            heard = b""
            try:
                while words not in heard:
                    heard += connection.recv(1 << 16)
            except TimeoutError:
                return
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)

    def expect(words: bytes, said: bytes) -> None:
        threads.append(threading.Thread(target=converse, args=(words, said)))
        threads[-1].start()

    yield expect
    for thread in threads:
        thread.join()
    listener.close()


def test_a_call_does_not_wait_for_the_greeting(systemd: Callable[[bytes, bytes], None]) -> None:
    systemd(b"StopUnit", GREETED + refusal(3, "NoSuchUnit"))
    manager = bus.Manager()
    manager.stop("one.scope")
    manager.close()


def test_the_end_of_a_job_may_come_before_its_name(systemd: Callable[[bytes, bytes], None]) -> None:
    systemd(b"StartTransientUnit", GREETED + removed("done") + answer(3, "o", JOB))
    manager = bus.Manager()
    manager.start_scope("one.scope", [("Description", ("s", "Container one"))])
    manager.close()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"REJECTED EXTERNAL\r\n", r"reach systemd over D-Bus: .*the bus refused us: REJECTED EXTERNAL"),
        (ACCEPTED + refusal(1, "LimitsExceeded"), r"reach systemd over D-Bus: not here \('.*/bus'\)"),
        (b"", r"reach systemd over D-Bus: .*the bus hung up"),
        (GREETED, r"call systemd's StopUnit: .*the bus hung up"),
        (GREETED + refusal(3, "Shutdown"), r"stop one\.scope: not here"),
        (GREETED + answer(3, "o", JOB) + removed("failed"), r"StopUnit one\.scope: systemd's job ended with 'failed'"),
    ],
)
def test_what_went_wrong_is_told(systemd: Callable[[bytes, bytes], None], said: bytes, sentence: str) -> None:
    systemd(b"StopUnit", said)
    manager = bus.Manager()
    with pytest.raises(SetupFailed, match=sentence):
        manager.stop("one.scope")
    manager.close()
