# SPDX-License-Identifier: GPL-3.0-or-later
"""PID 1 executes itself anew while it is asked for something."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from mctld.errors import MctlError, SetupFailed
from mctld.systemd import presence
from mctld.systemd.manager import NAME, UNIT_EXISTS, Manager, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNIT = "mctl-web.scope"
JOB = "/org/freedesktop/systemd1/job/7"
START = "StartTransientUnit"


class Refusal(MctlError):
    """An error reply, by its name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


UNANSWERED = Refusal(f"{presence.BUS}.Error.NoReply")
NOT_THERE = Refusal(f"{presence.BUS}.Error.Spawn.ChildExited")
EXISTS = Refusal(UNIT_EXISTS)
NO_JOB = Refusal(f"{presence.BUS}.Error.UnknownObject")


class Systemd:
    """What it answers is given in advance, by member or property: bodies and errors, the last one for ever.

    After an error that means absence it comes back.
    """

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.calls: list[str] = []
        self.signals: dict[str, Callable[[str, list[Any]], None]] = {}
        self.returns = True

    async def on_signal(
        self, sender: str, interface: str, member: str, callback: Callable[[str, list[Any]], None]
    ) -> None:
        self.signals[member] = callback

    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> list[Any]:
        asked = body[1] if member == "Get" else member
        self.calls.append(asked)
        answers = self.answers.get(asked, [[]])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer in (UNANSWERED, NOT_THERE) and self.returns:
            asyncio.get_running_loop().call_soon(self.come_back)
        if isinstance(answer, MctlError):
            raise answer
        return [Variant(*answer)] if member == "Get" else list(answer)

    def come_back(self) -> None:
        for change in (["org.example", "", ":1.7"], [NAME, ":1.1", ""], [NAME, "", ":1.9"]):
            self.signals["NameOwnerChanged"]("", change)

    def end(self, result: str = "done") -> None:
        self.signals["JobRemoved"]("", [7, JOB, UNIT, result])

    def remove(self) -> None:
        self.signals["UnitRemoved"]("", [UNIT, path_of(UNIT)])


def start(systemd: Systemd, *later: Callable[[], None]) -> None:
    """later: what happens while the start is under way."""

    async def run() -> None:
        manager = Manager(systemd)
        await manager.open(lambda _unit: None, lambda _unit, _job: None, lambda _unit: None)
        starting = asyncio.ensure_future(manager.start_transient(UNIT, [["PIDs", Variant("au", [42])]]))
        for event in later:
            await asyncio.sleep(0.02)
            event()
        await asyncio.wait_for(starting, 5)

    asyncio.run(run())


def test_what_it_has_not_answered_it_is_asked_again() -> None:
    systemd = Systemd(StartTransientUnit=[UNANSWERED, NOT_THERE, [JOB]])
    start(systemd, systemd.end)
    assert systemd.calls.count(START) == 3


@pytest.mark.parametrize("job", [7, 0])
def test_what_it_has_taken_before_is_not_done_twice(job: int) -> None:
    systemd = Systemd(
        StartTransientUnit=[UNANSWERED, EXISTS], Job=[("(uo)", [job, JOB])], JobType=[("s", "start")],
        GetUnitByPID=[[path_of(UNIT)]],
    )  # fmt: skip
    start(systemd, *[systemd.end] * (job > 0))
    assert systemd.calls.count(START) == 2


def test_what_was_there_before_is_no_success() -> None:
    systemd = Systemd(
        StartTransientUnit=[UNANSWERED, EXISTS, [JOB]], Job=[("(uo)", [0, "/"])], GetUnitByPID=[[path_of("init.scope")]]
    )
    start(systemd, systemd.remove, systemd.end)
    assert systemd.calls.count(START) == 3


def test_a_job_whose_end_nobody_was_told_is_judged_by_what_is_there() -> None:
    systemd = Systemd(StartTransientUnit=[[JOB]], JobType=[NO_JOB], ActiveState=[("s", "active")])
    start(systemd, systemd.come_back)
    systemd = Systemd(StartTransientUnit=[[JOB]], JobType=[NO_JOB], ActiveState=[("s", "inactive")])
    with pytest.raises(SetupFailed, match="lost, and the unit not there"):
        start(systemd, systemd.come_back)


def test_a_job_that_is_still_there_is_waited_for() -> None:
    systemd = Systemd(StartTransientUnit=[[JOB]], JobType=[("s", "start")])
    with pytest.raises(SetupFailed, match="'failed'"):
        start(systemd, systemd.come_back, lambda: systemd.end("failed"))


def test_whatever_else_it_refuses_is_told_at_once() -> None:
    systemd = Systemd(StartTransientUnit=[NO_JOB])
    with pytest.raises(Refusal):
        start(systemd)
    assert systemd.calls.count(START) == 1


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PATIENCE", 0.05)
    systemd = Systemd(StartTransientUnit=[UNANSWERED])
    systemd.returns = False
    with pytest.raises(Refusal, match="NoReply"):
        start(systemd)


@pytest.mark.parametrize(("kind", "coming"), [("restart", True), ("try-restart", True), ("stop", False)])
def test_what_ends_for_good_is_told_from_what_comes_back(kind: str, coming: bool) -> None:  # noqa: FBT001
    manager = Manager(Systemd(Job=[("(uo)", [7, JOB])], JobType=[("s", kind)]))
    assert asyncio.run(manager.is_coming_back("mctld.service")) is coming


def test_without_a_job_nobody_brings_it_back() -> None:
    manager = Manager(Systemd(Job=[("(uo)", [0, "/"])], JobType=[NO_JOB]))
    assert asyncio.run(manager.is_coming_back("mctld.service")) is False
