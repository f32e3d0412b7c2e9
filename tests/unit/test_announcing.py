# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of containers that say something of themselves when the service is stopped."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mctld.lifecycle.container import Container
from mctld.lifecycle.place import in_service
from mctld.lifecycle.registry import Registry
from mctld.spec import BY_ITSELF
from mctld.state import State
from mctld.store import Record, Run
from mctld.systemd import notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from mctld.spec import Spec

OFF = (42, "WATCHDOG_USEC=0")


class Kept:
    def keep(self, name: str, descriptor: int) -> None: ...
    def drop(self, name: str) -> None: ...


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []

    async def speak_for(pid: int, text: str) -> None:
        found.append((pid, text))

    monkeypatch.setattr(notify, "speak_for", speak_for)
    return found


def stop(make_spec: Callable[..., Spec], *, restarted: bool, service: bool = True, heard: bool = True) -> None:
    """Of the service, while one such container runs."""

    async def is_coming_back(unit: str) -> bool:
        assert unit == "mctld.service"
        return restarted

    async def run() -> None:
        keeping = SimpleNamespace(of=lambda *_: Kept())
        systemd, settings = SimpleNamespace(is_coming_back=is_coming_back), SimpleNamespace(health="")
        machinery: Any = SimpleNamespace(systemd=systemd, keeping=keeping, settings=settings)
        record = Record("0" * 32, 0, 65_536, 1, make_spec(sd_notify=BY_ITSELF))
        container = Container(record, replace(Run(State.RUNNING), main_pid=42), machinery, lambda *_: None)
        if service:
            container.place = in_service(record)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        if heard:
            container.hear(ours)
        registry = cast("Any", SimpleNamespace(all=lambda: [container], _machinery=machinery))
        await Registry.stop_hearing(registry)
        container._hear_no_more()
        ours.close()
        theirs.close()

    asyncio.run(run())


def test_nobody_waits_for_signs_of_life_that_nobody_passes_on(
    make_spec: Callable[..., Spec], said: list[tuple[int, str]]
) -> None:
    stop(make_spec, restarted=False)
    assert said == [OFF]


@pytest.mark.parametrize("how", [{"restarted": True}, {"service": False}, {"heard": False}])
def test_all_others_are_left_alone(
    make_spec: Callable[..., Spec], said: list[tuple[int, str]], how: dict[str, bool]
) -> None:
    stop(make_spec, **{"restarted": False, **how})
    assert said == []
