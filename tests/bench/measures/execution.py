# SPDX-License-Identifier: GPL-3.0-or-later
"""/bin/true executed in a container that sleeps: the whole command, and in our service alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench import command
from bench.bus import Bus
from bench.figures import OURS, Row
from bench.measure import in_turn, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    sleepers = {peer.name: name for peer in peers if (name := _sleeper(peer))}
    able = [peer for peer in peers if peer.name in sleepers]
    try:
        cells = in_turn(able, runs, lambda peer: _whole(peer, sleepers[peer.name]))
        yield Row("execution", "execute /bin/true in a container that runs, whole command", "ms", cells)
        ours = [peer for peer in able if peer.name == OURS]
        if ours:
            yield from _in_service(ours, sleepers[OURS], runs)
    finally:
        for peer in able:
            command.output(peer.remove([sleepers[peer.name]]))


def _in_service(ours: Sequence[Peer], name: str, runs: int) -> Iterator[Row]:
    with Bus(ours[0].rootfs) as bus:
        replies = in_turn(ours, runs, lambda _: _on_the_bus(bus, name))
        yield Row("execution", "execution asked of the service, to the reply", "ms", replies)


def _sleeper(peer: Peer) -> str | None:
    name = peer.new_name()
    start = peer.sleeper(name)
    if not start or not peer.execution(name):
        return None
    try:
        command.seconds(start)
    except command.FailedError as failure:
        say(f"{peer.name}: {failure}")
        return None
    return name


def _whole(peer: Peer, name: str) -> float | None:
    argv = peer.execution(name)
    return 1000 * command.seconds(argv) if argv else None


def _on_the_bus(bus: Bus, name: str) -> float:
    """The next one comes when this one has ended."""
    began = time.perf_counter()
    path = bus.execute(name)
    replied = time.perf_counter()
    bus.wait_executed(path)
    return 1000 * (replied - began)
