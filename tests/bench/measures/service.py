# SPDX-License-Identifier: GPL-3.0-or-later
"""A start inside the service: what a program that speaks with it waits for."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.figures import Cell, Row
from bench.measure import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer
    from bench.service import Service

START = {"mctl": "RunContainer on the bus", "docker": "create and start on its socket"}
END = {"mctl": "... and WaitContainer", "docker": "... and wait"}


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    ends: dict[str, list[float]] = {}
    with ExitStack() as stack:
        opened = {peer.name: service for peer in peers if (service := peer.service())}
        services = {name: stack.enter_context(service) for name, service in opened.items()}
        able = [peer for peer in peers if peer.name in services]
        starts = in_turn(able, runs, lambda peer: _start(services[peer.name], ends.setdefault(peer.name, [])))
    yield Row("service", "start asked of the service, to the reply", "ms", _noted(starts, START))
    until = {name: Cell(tuple(ends[name][-len(cell.values) :])) for name, cell in starts.items() if cell.values}
    yield Row("service", "start asked of the service, to the run's end", "ms", _noted(until, END))


def _noted(cells: dict[str, Cell], notes: dict[str, str]) -> dict[str, Cell]:
    return {name: replace(cell, note=notes.get(name, "")) for name, cell in cells.items()}


def _start(service: Service, ends: list[float]) -> float:
    began = time.perf_counter()
    identity = service.start()
    started = time.perf_counter()
    service.wait(identity)
    ends.append(1000 * (time.perf_counter() - began))
    return 1000 * (started - began)
