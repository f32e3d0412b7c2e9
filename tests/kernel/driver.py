# SPDX-License-Identifier: GPL-3.0-or-later
"""The spawner as a client drives it: plans in, output and statuses out."""

from __future__ import annotations

import asyncio
import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mctld.kernel import constants as c
from mctld.lifecycle.readiness import readable
from mctld.runtime import users
from mctld.runtime.launch import Inherited, Spawner
from mctld.runtime.plan import Plan, Step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mctld.runtime.launch import Status

INHERITED = Inherited({})
IDS = users.whole(users.FIRST)
NAMESPACES = c.CLONE_NEWUSER | c.CLONE_NEWPID | c.CLONE_NEWUTS | c.CLONE_NEWNET | c.CLONE_NEWIPC | c.CLONE_NEWNS


def step(operation: str, **arguments: Any) -> Step:
    return Step(operation, f"do {operation}", arguments)


def plan(*command: str, before: tuple[Step, ...] = ()) -> Plan:
    return Plan(
        (
            *before,
            step("gate"),
            step("stdio"),
            step("program", name=command[0], path="/bin"),
            step("execute", command=list(command), environment={"PATH": "/bin"}),
        )
    )


def conducted(address: str, act: Callable[[Spawner], Awaitable[None]]) -> None:
    async def run() -> None:
        client = Spawner(address)
        try:
            await asyncio.wait_for(act(client), 20)
        finally:
            client.close()

    asyncio.run(run())


async def output_of(
    client: Spawner, work: Plan, descriptors: Mapping[str, int] = MappingProxyType({})
) -> tuple[str, Status]:
    stage = await client.spawn("one", NAMESPACES, IDS, INHERITED)
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    try:
        stage.begin(work, {**descriptors, "stdin": null, "stdout": writer, "stderr": writer})
        await stage.finish(work)
    finally:
        os.close(writer)
        os.close(null)
        stage.close()
    with os.fdopen(reader) as file:
        text = await asyncio.to_thread(file.read)
    await readable(stage.pidfd)
    os.close(stage.pidfd)
    return text, await client.status("one")
