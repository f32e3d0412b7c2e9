# SPDX-License-Identifier: GPL-3.0-or-later
"""--ssh of a build: what is taken for an agent, and that each connection reaches it until the step is over."""

from __future__ import annotations

import os
import socket
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from mctl.building import agent as module
from mctl.building import room
from mctl.building.agent import VARIABLE, Relay, agent
from mctl.building.room import Room
from mctl.failures import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = b"x" * 300_000


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[str]:
    """An agent that says everything back, in capitals."""
    place = str(tmp_path / "agent")
    there = socket.socket(socket.AF_UNIX)
    there.bind(place)
    there.listen()

    def answer(asking: socket.socket) -> None:
        with asking:
            while data := asking.recv(1 << 16):
                asking.sendall(data.upper())

    def serve() -> None:
        while True:
            try:
                asking, _ = there.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(asking,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield place
    there.shutdown(socket.SHUT_RDWR)
    there.close()
    thread.join()


def connected(path: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.settimeout(60)
    found.connect(path)
    return found


def received(asking: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (data := asking.recv(1 << 16)):
        found += data
    return found


def test_each_connection_is_one_of_the_agents(listening: str, tmp_path: Path) -> None:
    relay = Relay(str(tmp_path / "relay"), listening)
    with connected(str(tmp_path / "relay")) as one, connected(str(tmp_path / "relay")) as other:
        for asking, text in ((one, b"one"), (other, b"other"), (one, b"again"), (other, LONG)):
            asking.sendall(text)
            assert received(asking, len(text)) == text.upper()
    relay.close()
    with pytest.raises(ConnectionRefusedError):
        connected(str(tmp_path / "relay"))


def test_an_agent_that_has_gone_and_too_many_who_ask(
    listening: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Relay(str(tmp_path / "gone"), str(tmp_path / "nobody"))
    with connected(str(tmp_path / "gone")) as asking:
        assert asking.recv(1) == b""
    gone.close()
    monkeypatch.setattr(module, "AT_ONCE", 1)
    relay = Relay(str(tmp_path / "relay"), listening)
    with connected(str(tmp_path / "relay")) as one:
        one.sendall(b"one")
        assert received(one, 3) == b"ONE"
        with connected(str(tmp_path / "relay")) as other:
            assert other.recv(1) == b""
    relay.close()


def test_the_socket_of_a_step(listening: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_place_in_memory", lambda: str(tmp_path))
    made = Room()
    shown = made.agent(listening, 0o600, (os.geteuid(), os.getegid()))
    found, path = os.fstat(shown), os.readlink(f"/proc/self/fd/{shown}")
    assert (stat.S_ISSOCK(found.st_mode), stat.S_IMODE(found.st_mode)) == (True, 0o600)
    with connected(path) as asking:
        asking.sendall(b"x")
        assert received(asking, 1) == b"X"
    made.clear()
    assert not os.path.exists(os.path.dirname(path))


def test_what_is_no_agent(listening: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "key").touch()
    for text, complaint in (
        ("default", "SSH_AUTH_SOCK is not set: start ssh-agent"),
        (f"={listening}", "is not ID or ID=SOCKET"),
        (f"x={tmp_path}/key", "key is no socket: ssh-add"),
        (f"x={tmp_path}/none", "none: No such file or directory"),
    ):
        with pytest.raises(UsageError, match=complaint):
            agent("--ssh", text)
    monkeypatch.setenv(VARIABLE, listening)
    assert [agent("--ssh", text) for text in ("default", "a=")] == [("default", listening), ("a", listening)]
