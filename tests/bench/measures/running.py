# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten containers that sleep: what stands beside them, what their service takes, how long a list of them takes."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench import command, processes
from bench.figures import Cell, Row
from bench.measure import in_turn, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer

COUNT = 10
PAYLOAD = ("sleep", "busybox")
PATIENCE = 20.0  # seconds


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    helpers: dict[str, Cell] = {}
    services: dict[str, Cell] = {}
    up: list[Peer] = []
    with ExitStack() as stack:
        for peer in peers:
            try:
                helpers[peer.name] = _start(peer, stack)
                services[peer.name] = _service(peer)
                up.append(peer)
            except command.FailedError as failure:
                say(f"{peer.name}: {failure}")
                helpers[peer.name] = Cell(reason=str(failure))
        lists = in_turn(up, runs, _list) if up else {}
    yield Row("memory", f"helpers per running container ({COUNT} run), PSS", "KiB", helpers)
    yield Row("memory", f"service, {COUNT} containers run, PSS", "MiB", services)
    yield Row("ps", f"list, {COUNT} containers run", "ms", lists)


def _start(peer: Peer, stack: ExitStack) -> Cell:
    """Every new process that is not the payload counts, whatever it is called."""
    command.output(peer.true())
    before = processes.all_now()
    names = peer.sleepers(COUNT)
    stack.callback(_remove, peer, names)
    beside = _beside(before)
    note = f"{len(beside)} processes: {', '.join(sorted(set(beside.values())))}" if beside else "no process"
    return Cell((sum(processes.memory(pid, "Pss") for pid in beside) / COUNT,), note)


def _remove(peer: Peer, names: Sequence[str]) -> None:
    try:
        command.output(peer.remove(names))
    except command.FailedError as failure:
        say(f"{peer.name}: {failure}")


def _beside(before: dict[int, str]) -> dict[int, str]:
    """Some commands return before the payload is executed, hence the patience; no engine tells."""
    deadline = time.monotonic() + PATIENCE
    while True:
        new = {pid: name for pid, name in processes.all_now().items() if pid not in before}
        beside = {pid: name for pid, name in new.items() if name not in PAYLOAD}
        if len(new) - len(beside) == COUNT:
            return beside
        if time.monotonic() > deadline:
            raise command.FailedError(f"{len(new) - len(beside)} of {COUNT} sleepers run")
        time.sleep(0.2)


def _service(peer: Peer) -> Cell:
    pids = processes.of_units(peer.units)
    resident = sum(processes.memory(pid, "Rss") for pid in pids) / 1024
    note = f"{' + '.join(peer.units)}; RSS {resident:.1f}" if pids else "no service"
    return Cell((sum(processes.memory(pid, "Pss") for pid in pids) / 1024,), note)


def _list(peer: Peer) -> float | None:
    argv = peer.listing()
    return 1000 * command.seconds(argv) if argv else None
