# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks every engine for the same thing, in turn, many times; a failure of one is a reason in its cell."""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bench.command import FailedError
from bench.figures import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.peer import Peer

SEED = 1
# Seconds. Engines tidy up after their command has ended: that must not fall to the one that comes next.
SETTLE = 0.1


def say(text: str) -> None:
    print(f"[bench] {text}", file=sys.stderr, flush=True)


def in_turn(peers: Sequence[Peer], rounds: int, once: Callable[[Any], float | None], *, warm: bool = True
            ) -> dict[str, Cell]:  # fmt: skip
    """A round asks each engine once, in an order drawn anew; the first round only warms up."""
    order = random.Random(SEED)
    values: dict[str, list[float]] = defaultdict(list)
    reasons: dict[str, str] = {}
    for number in range(-1 if warm else 0, rounds):
        for peer in order.sample(peers, len(peers)):
            if peer.name in reasons:
                continue
            time.sleep(SETTLE)
            value = _attempt(peer, once, reasons)
            if value is not None and number >= 0:
                values[peer.name].append(value)
    names = [peer.name for peer in peers if peer.name in values or peer.name in reasons]
    return {name: Cell(tuple(values[name]), reason=reasons.get(name, "")) for name in names}


def _attempt(peer: Peer, once: Callable[[Any], float | None], reasons: dict[str, str]) -> float | None:
    try:
        return once(peer)
    except FailedError as failure:
        reasons[peer.name] = str(failure)
        say(f"{peer.name}: {failure}")
        return None
