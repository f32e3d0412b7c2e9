# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the machine: prepares the engines, measures, prints the report as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from bench import load, rootfs
from bench.command import FailedError
from bench.figures import Report, Row
from bench.measure import say
from bench.measures import calls, crowd, execution, images, journal, network, parallel, running, service, true
from bench.peers import docker, oci, ours, podman, systemd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.peer import Peer

PEERS = (ours.Ours, oci.Own, oci.Crun, oci.CrunSystemd, oci.Runc, podman.Podman, docker.Docker, systemd.Nspawn,
         systemd.SystemdRun)  # fmt: skip
# In this order: the journal's flood comes last.
MEASURES: dict[str, Callable[[Sequence[Peer], int], Iterator[Row]]] = {
    "true": true.measure,
    "execution": execution.measure,
    "service": service.measure,
    "parallel": parallel.measure,
    "running": running.measure,
    "calls": calls.measure,
    "crowd": crowd.measure,
    "images": images.measure,
    "network": network.measure,
    "journal": journal.measure,
}


def main() -> None:
    wish = json.load(sys.stdin)
    machine = load.describe()
    root = rootfs.make(network="network" in wish["measures"])
    engines: dict[str, dict[str, str]] = {}
    ready = [peer for kind in PEERS for peer in _prepared(kind(root), engines)]
    rows = [row for name in wish["measures"] for row in _measured(name, ready, wish["runs"])]
    json.dump(Report(machine, engines, tuple(rows)).to_json(), sys.stdout)


def _prepared(peer: Peer, engines: dict[str, dict[str, str]]) -> list[Peer]:
    say(f"preparing {peer.name}")
    try:
        version = peer.version()
        peer.prepare()
    except FailedError as failure:
        say(f"{peer.name} is not measured: {failure}")
        engines[peer.name] = {"reason": str(failure)}
        return []
    engines[peer.name] = {"version": version, "how": peer.how}
    return [peer]


def _measured(name: str, peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    say(f"measuring {name}")
    before = load.Moment.now()
    rows = list(MEASURES[name](peers, runs))
    load_meanwhile = before.until_now()
    say(load_meanwhile)
    for row in rows:
        yield Row(row.measure, row.title, row.unit, row.cells, row.more_is_better, load_meanwhile)


if __name__ == "__main__":
    main()
