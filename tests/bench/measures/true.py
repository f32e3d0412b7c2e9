# SPDX-License-Identifier: GPL-3.0-or-later
"""/bin/true in a container, the whole command, without network and on the engine's bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import command
from bench.figures import Row
from bench.measure import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    cells = in_turn(peers, runs, lambda peer: 1000 * command.seconds(peer.true()))
    yield Row("true", "run /bin/true, no network, whole command", "ms", cells)
    cells = in_turn(peers, runs, _bridged)
    yield Row("true", "run /bin/true, on a bridge, whole command", "ms", cells)


def _bridged(peer: Peer) -> float | None:
    run = peer.bridged()
    return 1000 * command.seconds(run) if run else None
