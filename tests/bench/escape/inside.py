# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the machine: prepares the engines, runs the probes in each, prints what they came to as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import command
from bench.command import FailedError
from bench.escape import filters
from bench.measure import say
from bench.peer import SLEEP, TRUE
from bench.peers import docker, ours, podman
from bench.rootfs import GROUND, Rootfs
from machine.escape.root import ARGV, ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peer import Peer

PASSED = 123
OPTIONS: dict[str, tuple[type[Peer], tuple[str, ...]]] = {
    "mctl": (ours.Ours, ()),
    "mctl strict": (ours.Ours, ("--security-opt", "strict")),
    "podman": (podman.Podman, ()),
    "docker": (docker.Docker, ()),
}
PID = {
    "mctl": ("mctl", "inspect", "--format", "{{.MainPID}}"),
    "podman": ("podman", "inspect", "--format", "{{.State.Pid}}"),
    "docker": ("docker", "inspect", "--format", "{{.State.Pid}}"),
}


def main() -> None:
    root = Rootfs(Path(ROOT), GROUND / "python.tar")
    GROUND.mkdir(parents=True, exist_ok=True)
    command.output(["tar", "-C", ROOT, "-cf", str(root.tar), "."])
    prepared: dict[type[Peer], Peer] = {}
    report: dict[str, Any] = {}
    for name, (kind, options) in OPTIONS.items():
        say(f"probing {name}")
        try:
            peer = prepared.get(kind) or prepare(kind(root))
            prepared[kind] = peer
            report[name] = {"version": peer.version(), "how": peer.how, **probe(name.split()[0], peer, options)}
        except FailedError as failure:
            say(f"{name} is not probed: {failure}")
            report[name] = {"reason": str(failure)}
    json.dump(report, sys.stdout)


def prepare(peer: Peer) -> Peer:
    peer.version()
    peer.prepare()
    return peer


def probe(engine: str, peer: Peer, options: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(with_options(peer.true(), options, ARGV), capture_output=True, check=False, timeout=300)
    if done.returncode != PASSED:
        raise FailedError(f"the probes ended with {done.returncode}: {done.stderr.decode(errors='replace')[-600:]}")
    *lines, end = [json.loads(line) for line in done.stdout.splitlines()]
    assert end == {"probe": "end", "outcome": len(lines)}
    outcomes = {line["probe"]: line["outcome"] for line in lines if "outcome" in line}
    return {"outcomes": outcomes, "calls": calls(engine, peer, options)}


def with_options(argv: Sequence[str], options: Sequence[str], instead: Sequence[str]) -> list[str]:
    """The engine's command line for `true`, with options after its verb and another program to run."""
    assert tuple(argv[-len(TRUE) :]) == TRUE
    verb = argv.index("run") + 1
    return [*argv[:verb], *options, *argv[verb : -len(TRUE)], *instead]


def calls(engine: str, peer: Peer, options: Sequence[str]) -> int:
    """How many of filters.NUMBERS the filter of a sleeping container lets through."""
    name = peer.new_name()
    start = peer.sleeper(name)
    assert start is not None
    verb = start.index("run") + 1
    command.output([*start[:verb], *options, *start[verb:]])
    try:
        pid = int(command.output([*PID[engine], name]))
        assert SLEEP[0].rpartition("/")[2].encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        ancestor = 1 if peer.units else os.getpid()  # an engine without a service is our own child
        return len(filters.allowed(filters.of_process(pid, ancestor=ancestor), os.uname().machine))
    finally:
        command.output(peer.remove([name]))


if __name__ == "__main__":
    main()
