# SPDX-License-Identifier: GPL-3.0-or-later
"""A first process that is not the spawner's child but its parent's: here this process is what PID 1 is on a host."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from kernel.driver import IDS, INHERITED, NAMESPACES, conducted, plan
from kernel.test_joining import own_cgroup
from mctld.errors import SetupFailed
from mctld.lifecycle.readiness import readable
from mctld.runtime.launch import Inherited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mctld.runtime.launch import Spawner, Stage

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces: needs root")


@pytest.fixture
def cgroup() -> Iterator[int]:
    opened = own_cgroup()
    yield opened
    os.close(opened)


async def executed(stage: Stage, *command: str) -> None:
    work = plan(*command)
    null = os.open(os.devnull, os.O_RDWR)
    try:
        stage.begin(work, {"stdin": null, "stdout": null, "stderr": null})
        await stage.finish(work)
    finally:
        os.close(null)


async def ended(stage: Stage) -> os.waitid_result:
    await readable(stage.pidfd)
    os.close(stage.pidfd)
    stage.close()
    found = os.waitid(os.P_PID, stage.pid, os.WEXITED)  # none but a parent may: ECHILD
    assert found
    return found


def killed() -> bool:
    """Whether a child that nobody knows by its number has ended so. Others of this process, of earlier tests, may end
    meanwhile: they are looked at and left to whom they belong.
    """
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        children = [int(word) for word in file.read().split()]
    for pid in children:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found and (found.si_code, found.si_status) == (os.CLD_KILLED, signal.SIGKILL):
            os.waitid(os.P_PID, pid, os.WEXITED)
            return True
    return False


def test_its_status_is_the_parents_alone(address: str, cgroup: int) -> None:
    async def act(client: Spawner) -> None:
        stage = await client.bear(NAMESPACES, IDS, INHERITED, cgroup)
        with open(f"/proc/{stage.pid}/status") as file:
            assert f"PPid:\t{os.getpid()}\n" in file.readlines()
        await executed(stage, "sh", "-c", "exit 3")
        found = await ended(stage)
        assert (found.si_code, found.si_status) == (os.CLD_EXITED, 3)
        assert await client.connect() == {}

    conducted(address, act)


def test_without_its_asker_it_ends(address: str, cgroup: int) -> None:
    async def act(client: Spawner) -> None:
        stage = await client.bear(NAMESPACES, IDS, INHERITED, cgroup)
        stage.close()
        assert (await ended(stage)).si_status == 125

    conducted(address, act)


def test_one_that_cannot_be_prepared_is_ended(address: str, cgroup: int) -> None:
    async def act(client: Spawner) -> None:
        with pytest.raises(SetupFailed, match="bear a process"):
            await client.bear(NAMESPACES, IDS, Inherited({"NOSUCH": (1, 1)}), cgroup)
        async with asyncio.timeout(30):
            while not killed():
                await asyncio.sleep(0.01)

    conducted(address, act)


def test_what_is_no_cgroup_is_refused(address: str) -> None:
    async def act(client: Spawner) -> None:
        elsewhere = os.open("/", os.O_PATH)
        try:
            with pytest.raises(SetupFailed, match="bear a process"):
                await client.bear(NAMESPACES, IDS, INHERITED, elsewhere)
        finally:
            os.close(elsewhere)
        assert await client.connect() == {}

    conducted(address, act)
