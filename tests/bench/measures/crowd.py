# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists where there are no containers, a hundred that run, a thousand: the command, and in the service alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jeepney import new_method_call

from bench import command
from bench.bus import MANAGER, Bus
from bench.caller import Caller
from bench.figures import OURS, Cell, Row
from bench.measure import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jeepney import Message

    from bench.peer import Peer

RUNNING = 100
ALL = 1_000
AT_ONCE = 100  # of those that are removed by one command
SHOWN = ["Id", "CreateTimestamp", "Name", "State", "OwnerUID", "Image", "Rootfs", "Command", "StartTimestamp"]
OBJECTS = MANAGER.with_interface("org.freedesktop.DBus.ObjectManager")


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    ours = [peer for peer in peers if peer.name == OURS]
    if not ours:
        return
    (mctl,) = ours
    yield Row("crowd", "list, no container there", "ms", in_turn(ours, runs, _listed))
    names = mctl.sleepers(RUNNING)
    try:
        yield Row("crowd", f"list, {RUNNING} containers run", "ms", in_turn(ours, runs, _listed))
        with Bus(mctl.rootfs) as bus:
            names += bus.create_all(ALL - RUNNING)
        yield from _of_the_service(runs)
    finally:
        for begin in range(0, len(names), AT_ONCE):
            command.output(mctl.remove(names[begin:][:AT_ONCE]))


def _listed(peer: Peer) -> float:
    return 1000 * command.seconds(peer.listing() or [])


def _of_the_service(runs: int) -> Iterator[Row]:
    """To the last byte of the reply."""
    caller = Caller()
    for title, call in (
        (f"ListContainers, {ALL}: what mctl ps shows", _listing({"Properties": ("as", SHOWN)})),
        (f"ListContainers, {ALL}: every property", _listing({})),
        (f"GetManagedObjects, {ALL}", new_method_call(OBJECTS, "GetManagedObjects")),
    ):
        first = caller.milliseconds(call)
        values = tuple(caller.milliseconds(call) for _ in range(runs))
        yield Row("crowd", title, "ms", {OURS: Cell(values, f"the first of all {first:.0f}")})


def _listing(chosen: dict[str, tuple[str, list[str]]]) -> Message:
    return new_method_call(MANAGER, "ListContainers", "a{sv}t", (chosen, 0))
