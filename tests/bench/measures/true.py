# SPDX-License-Identifier: GPL-3.0-or-later
"""/bin/true in a container without network, the whole command."""

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
