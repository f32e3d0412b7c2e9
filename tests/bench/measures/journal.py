# SPDX-License-Identifier: GPL-3.0-or-later
"""A container that talks fast: how many of its lines the journal keeps."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import command, rootfs
from bench.figures import Cell, Row
from bench.measure import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer

LINES = 200_000
SHARE = 10
# journald's rate limit counts per service in windows of 30 s (journald.conf(5)): a round must not spend the next one's.
WINDOW = 31.0
# As on an installed Debian with a large disk, where SystemMaxUse= is 4G by default. The burst grows with that room
# (journald.conf(5), RateLimitBurst=); everything else stays as shipped.
SETTINGS = "[Journal]\nStorage=persistent\nSystemMaxUse=4G\n"
DIRECTORY = "/var/log/journal"
DROP_IN = Path("/etc/systemd/journald.conf.d/bench.conf")
WAYS = {True: "run -d", False: "foreground"}


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    _set_up()
    able = [peer for peer in peers if peer.talker("", (), detached=True)]
    free: dict[str, float] = {}
    for detached, way in WAYS.items():
        talk = Talk(free, detached=detached)
        taken = in_turn(able, max(1, runs // SHARE), talk, warm=False)
        kept = {name: Cell(tuple(talk.kept.get(name, ())), reason=cell.reason) for name, cell in taken.items()}
        yield Row("journal", f"{LINES:,} lines, in the journal, {way}", "%", kept, more_is_better=True)
        yield Row("journal", f"{LINES:,} lines, until all is written, {way}", "s", taken)


class Talk:
    """One engine's flood; it notes the share that was kept, and from when on each engine may talk again."""

    def __init__(self, free: dict[str, float], *, detached: bool) -> None:
        self.kept: dict[str, list[float]] = {}
        self._detached = detached
        self._free = free

    def __call__(self, peer: Peer) -> float:
        time.sleep(max(0.0, self._free.get(peer.name, 0) - time.monotonic()))
        name = peer.new_name()
        taken = self._time(peer, name)
        self.kept.setdefault(peer.name, []).append(100 * _count(name) / LINES)
        command.output(peer.remove([name]))
        self._free[peer.name] = time.monotonic() + WINDOW
        return taken

    def _time(self, peer: Peer, name: str) -> float:
        talk = peer.talker(name, ["/bin/seq", str(LINES)], detached=self._detached)
        assert talk is not None
        began = time.perf_counter()
        command.seconds(talk)
        peer.wait(name)
        command.output(["journalctl", "--sync"])
        return time.perf_counter() - began


def _set_up() -> None:
    rootfs.bind(DIRECTORY)
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(SETTINGS)
    command.output(["systemctl", "restart", "systemd-journald.service"])
    command.output(["journalctl", "--flush"])


def _count(name: str) -> int:
    """Different lines of the payload; an engine's own notes about the container are no number."""
    argv = ["journalctl", f"CONTAINER_NAME={name}", "-o", "cat"]
    done = subprocess.run(argv, capture_output=True, check=False)
    return len({line for line in done.stdout.split(b"\n") if line.isdigit()})
