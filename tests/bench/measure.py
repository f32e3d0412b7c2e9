# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks every engine for the same thing, in turn, many times; a failure of one is a reason in its cell."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bench.command import FailedError
from bench.figures import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.peer import Peer


def say(text: str) -> None:
    print(f"[bench] {text}", file=sys.stderr, flush=True)


def in_turn(peers: Sequence[Peer], rounds: int, once: Callable[[Any], float | None], *, warm: bool = True
            ) -> dict[str, Cell]:  # fmt: skip
    """A round asks each engine once, beginning with another one each time; the first round only warms up."""
    values: dict[str, list[float]] = defaultdict(list)
    reasons: dict[str, str] = {}
    for number in range(-1 if warm else 0, rounds):
        start = number % len(peers)
        for peer in (*peers[start:], *peers[:start]):
            if peer.name in reasons:
                continue
            value = _attempt(peer, once, reasons)
            if value is not None and number >= 0:
                values[peer.name].append(value)
    cells = {name: Cell(tuple(found), reason=reasons.get(name, "")) for name, found in values.items()}
    return cells | {name: Cell(reason=reason) for name, reason in reasons.items() if name not in cells}


def _attempt(peer: Peer, once: Callable[[Any], float | None], reasons: dict[str, str]) -> float | None:
    try:
        return once(peer)
    except FailedError as failure:
        reasons[peer.name] = str(failure)
        say(f"{peer.name}: {failure}")
        return None
