# SPDX-License-Identifier: GPL-3.0-or-later
"""A start inside the service: what a program that speaks with it waits for."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.figures import Cell, Row
from bench.measure import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer
    from bench.service import Service

BURST = 6  # the first start of a burst finds cold caches and sleeping processors: it is told apart
START = {"mctl": "RunContainer on the bus", "docker": "create and start on its socket"}
END = {"mctl": "... and WaitContainer", "docker": "... and wait"}


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    bursts, connected = Bursts(), Bursts()
    with ExitStack() as stack:
        services, bridged = (_opened(peers, stack, bridged=bridged) for bridged in (False, True))

        def run(peer: Peer) -> float:
            if peer.name in bridged:  # side by side, so that their difference means something
                connected.run(peer.name, bridged[peer.name])
            return bursts.run(peer.name, services[peer.name])

        first = in_turn([peer for peer in peers if peer.name in services], runs, run)
    looped = {name: Cell(tuple(bursts.starts[name]), START[name], cell.reason) for name, cell in first.items()}
    ended = {name: Cell(tuple(bursts.ends[name]), END[name], cell.reason) for name, cell in first.items()}
    yield Row("service", "start asked of the service in a loop, to the reply", "ms", looped)
    yield Row("service", "the same on a bridge", "ms", {name: Cell(tuple(v)) for name, v in connected.starts.items()})
    yield Row("service", "start asked of the service in a loop, to its end", "ms", ended)
    yield Row("service", "start asked of the service after a rest", "ms", first)


def _opened(peers: Sequence[Peer], stack: ExitStack, *, bridged: bool) -> dict[str, Service]:
    opened = {peer.name: service for peer in peers if (service := peer.service(bridged=bridged))}
    return {name: stack.enter_context(service) for name, service in opened.items()}


class Bursts:
    """Starts one after the other; milliseconds per engine, of all but the first of a burst."""

    def __init__(self) -> None:
        self.starts: dict[str, list[float]] = defaultdict(list)
        self.ends: dict[str, list[float]] = defaultdict(list)

    def run(self, name: str, service: Service) -> float:
        """Returns the first start's."""
        first, _ = _start(service)
        for _ in range(BURST - 1):
            started, ended = _start(service)
            self.starts[name].append(started)
            self.ends[name].append(ended)
        return first


def _start(service: Service) -> tuple[float, float]:
    began = time.perf_counter()
    identity = service.start()
    started = time.perf_counter()
    service.wait(identity)
    return 1000 * (started - began), 1000 * (time.perf_counter() - began)
