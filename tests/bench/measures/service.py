# SPDX-License-Identifier: GPL-3.0-or-later
"""A start inside the service: what a program on the bus waits for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.bus import Service
from bench.figures import Cell, Row
from bench.measure import in_turn
from bench.peers.ours import Ours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    ours = [peer for peer in peers if isinstance(peer, Ours)]
    if not ours:
        return
    ends: list[float] = []
    with Service(ours[0].rootfs) as service:
        started = in_turn(ours, runs, lambda _: _start(service, ends))
    yield Row("service", "start inside the service: RunContainer to its reply", "ms", started)
    ended = {name: Cell(tuple(ends[-len(cell.values) :])) for name, cell in started.items() if cell.values}
    yield Row("service", "the same to the end of the run: RunContainer to WaitContainer's reply", "ms", ended)


def _start(service: Service, ends: list[float]) -> float:
    began = time.perf_counter()
    _, identity, _ = service.result(service.run_true())
    started = time.perf_counter()
    service.result(service.wait(identity))
    ends.append(1000 * (time.perf_counter() - began))
    return 1000 * (started - began)
