# SPDX-License-Identifier: GPL-3.0-or-later
"""--activate on the command line; and what mctl-wake asks for, by the state that it finds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from mctl import waking
from mctl.activation import activated
from mctl.failures import Failure, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from mctl.client import Call, Client

FOUND = {
    "State": "exited", "ActivatedPorts": [("tcp", "", 8000, 80, 2)], "Addresses": [("bridge", "172.20.0.5", "fd00::5")],
    "IdleUSec": 30_000_000, "IdleAction": "stop",
}  # fmt: skip


class Service:
    """What Client is to mctl-wake; a call changes the state as the service would."""

    def __init__(self, *states: str, refuses: str = "", **found: Any) -> None:
        self.states = list(states)
        self.refuses = refuses
        self.found = FOUND | found
        self.called: list[str] = []

    def properties(self, _path: str) -> dict[str, Any]:
        return {**self.found, "State": self.states[0]}

    def call(self, call: Call) -> tuple[Any, ...]:
        self.called.append(call.member)
        if len(self.states) > 1:
            self.states.pop(0)
        if self.refuses:
            raise Failure("no", status=1, name=f"org.mctl1.Error.{self.refuses}")
        return ()


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8080", ("tcp", "", 8080, 8080, 1)),
        ("8080:80", ("tcp", "", 8080, 80, 1)),
        ("127.0.0.2:8000-8001:80-81/tcp", ("tcp", "127.0.0.2", 8000, 80, 2)),
    ],
)
def test_ports_on_call(text: str, port: tuple[str, str, int, int, int]) -> None:
    assert activated("--activate", text) == port


@pytest.mark.parametrize("text", ["53:53/udp", "0", "a:b", "1:2:3:4"])
def test_what_is_no_port_on_call(text: str) -> None:
    with pytest.raises(UsageError, match="--activate"):
        activated("--activate", text)


@pytest.mark.parametrize(
    ("states", "refuses", "called"),
    [
        (("exited", "running"), "", "Start"),
        (("running",), "AlreadyRunning", "Start"),
        (("paused", "running"), "", "Thaw"),
        (("paused", "running"), "NotPaused", "Thaw"),
    ],
)
def test_it_is_woken_and_the_relay_told(states: tuple[str, ...], refuses: str, called: str, tmp_path: Path) -> None:
    service = Service(*states, refuses=refuses)
    waking.wake(cast("Client", service), "web", str(tmp_path))
    assert service.called == [called]
    told = json.loads((tmp_path / waking.FILE).read_text())
    assert told == {"address": "172.20.0.5", "ports": [[8000, 80], [8001, 81]], "idle": 30.0}


def test_the_relay_is_told_nothing_of_what_does_not_run(tmp_path: Path) -> None:
    waking.wake(cast("Client", Service("exited")), "web", str(tmp_path))
    assert not (tmp_path / waking.FILE).exists()
    with pytest.raises(Failure):
        waking.wake(cast("Client", Service("exited", refuses="SetupFailed")), "web", str(tmp_path))


@pytest.mark.parametrize(("action", "called"), [("stop", ["Stop"]), ("freeze", ["Freeze"])])
def test_silence_puts_it_to_rest(action: str, called: list[str]) -> None:
    service = Service("running", IdleAction=action)
    waking.rest(cast("Client", service), "web")
    assert service.called == called
    ended = Service("exited", IdleAction=action)
    waking.rest(cast("Client", ended), "web")
    assert ended.called == []


@pytest.mark.parametrize(
    ("code", "status", "idle"), [("exited", "0", True), ("exited", "3", False), ("killed", "TERM", False)]
)
def test_only_silence_does(code: str, status: str, *, idle: bool) -> None:
    assert waking.is_idle({"EXIT_CODE": code, "EXIT_STATUS": status}) is idle
