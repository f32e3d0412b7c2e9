# SPDX-License-Identifier: GPL-3.0-or-later
"""Many starts at once."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from bench import command
from bench.figures import Row
from bench.measure import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer

COUNT = 50
SHARE = 5  # one round is as dear as many of the other measures


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    rounds = max(1, runs // SHARE)
    yield Row("parallel", f"{COUNT} times /bin/true at once, to the last's end", "per s",
              in_turn(peers, rounds, _commands), more_is_better=True)  # fmt: skip
    yield Row("parallel", f"{COUNT} starts asked of the service at once", "per s",
              in_turn(peers, rounds, partial(_calls, bridged=False)), more_is_better=True)  # fmt: skip
    yield Row("parallel", f"{COUNT} starts on a bridge asked of the service at once", "per s",
              in_turn(peers, rounds, partial(_calls, bridged=True)), more_is_better=True)  # fmt: skip


def _commands(peer: Peer) -> float:
    return COUNT / command.seconds_of_all([peer.true() for _ in range(COUNT)])


def _calls(peer: Peer, *, bridged: bool) -> float | None:
    service = peer.service(bridged=bridged)
    if not service:
        return None
    with service:
        began = time.perf_counter()
        started = service.start_all(COUNT)
        rate = COUNT / (time.perf_counter() - began)
        for identity in started:
            service.wait(identity)
    return rate
