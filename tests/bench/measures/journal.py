# SPDX-License-Identifier: GPL-3.0-or-later
"""A container that talks fast: how many of its lines the journal keeps."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import command
from bench.figures import Cell, Row
from bench.measure import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer

LINES = 200_000
SHARE = 10
# journald's rate limit counts per service in windows of 30 s (journald.conf(5)): a round must not spend the next one's.
WINDOW = 31.0
# Room enough that no line is lost by rotation; everything else of journald stays as Debian ships it.
ROOM = "[Journal]\nSystemMaxUse=8G\nRuntimeMaxUse=2G\n"
CONFIGURATION = Path("/etc/systemd/journald.conf.d/bench.conf")


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
    CONFIGURATION.write_text(ROOM)
    command.output(["systemctl", "restart", "systemd-journald.service"])
    able = [peer for peer in peers if peer.talker("", ())]
    kept: dict[str, list[float]] = {peer.name: [] for peer in able}
    rounds = max(1, runs // SHARE)
    taken = in_turn(able, rounds, lambda peer: _talk(peer, kept[peer.name]), warm=False)
    shares = {name: Cell(tuple(found), reason=taken[name].reason) for name, found in kept.items()}
    yield Row("journal", f"of {LINES:,} lines printed the journal holds", "%", shares, more_is_better=True)
    yield Row("journal", "seconds from the start of the command to the last line in the journal", "s", taken)


def _talk(peer: Peer, kept: list[float]) -> float:
    name = peer.new_name()
    talk = peer.talker(name, ["/bin/seq", str(LINES)])
    assert talk is not None
    began = time.perf_counter()
    command.seconds(talk)
    peer.wait(name)
    command.output(["journalctl", "--sync"])
    taken = time.perf_counter() - began
    kept.append(100 * _count(name) / LINES)
    command.output(peer.remove([name]))
    time.sleep(max(0.0, WINDOW - (time.perf_counter() - began)))
    return taken


def _count(name: str) -> int:
    """Different lines of the payload; an engine's own notes about the container are no number."""
    argv = ["journalctl", f"CONTAINER_NAME={name}", "-o", "cat"]
    done = subprocess.run(argv, capture_output=True, check=False)
    return len({line for line in done.stdout.split(b"\n") if line.isdigit()})
