# SPDX-License-Identifier: GPL-3.0-or-later
"""Many starts at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench import command
from bench.bus import Service
from bench.figures import Row
from bench.measure import in_turn
from bench.peers.ours import Ours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer

COUNT = 50
SHARE = 5  # one round is as dear as many of the other measures


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    rounds = max(1, runs // SHARE)
    cells = in_turn(peers, rounds, _commands)
    yield Row("parallel", f"{COUNT} commands at once that run /bin/true, until the last has ended", "per s", cells,
              more_is_better=True)  # fmt: skip
    ours = [peer for peer in peers if isinstance(peer, Ours)]
    if ours:
        yield Row("parallel", f"{COUNT} calls of RunContainer at once, until the last reply", "per s",
                  in_turn(ours, rounds, _calls), more_is_better=True)  # fmt: skip


def _commands(peer: Peer) -> float:
    return COUNT / command.seconds_of_all([peer.true() for _ in range(COUNT)])


def _calls(peer: Peer) -> float:
    with Service(peer.rootfs) as service:
        began = time.perf_counter()
        started = [service.result(serial)[1] for serial in [service.run_true() for _ in range(COUNT)]]
        rate = COUNT / (time.perf_counter() - began)
        for serial in [service.wait(identity) for identity in started]:
            service.result(serial)
    return rate
