# SPDX-License-Identifier: GPL-3.0-or-later
"""The escape probes by way of podman, on mctl-oci and on Debian's runc, under the same config.json: no wall is lower.

podman's policy decides most of what a container may; what is compared here is what the runtimes make of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from machine.escape import root
from machine.guest import PASSED

if TYPE_CHECKING:
    from .machine import Engines

    Outcomes = dict[str, dict[str, Any]]

# Each time another number; runc fills in an empty HOME; and what masks a path has more flags with us.
# What mounts propagate is judged by itself: Debian 12's runc leaves some that hear of the host's.
DIFFERENT = {"namespaces", "session-keyring", "environment", "mounts", "mounts-propagate"}
RUNTIMES = {"ours": "/usr/bin/mctl-oci", "theirs": "runc"}


@pytest.fixture(scope="module")
def outcomes(engines: Engines) -> dict[str, Outcomes]:
    root.make(engines)
    return {name: _probe(engines, runtime) for name, runtime in RUNTIMES.items()}


def _probe(machine: Engines, runtime: str) -> Outcomes:
    command = ["podman", "--runtime", runtime, "run", "--rm", "--network", "none", "--hostname", "box",
               "--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000",
               "--rootfs", root.ROOT, *root.ARGV]  # fmt: skip
    done = machine.run(command, check=False, timeout=300)
    assert done.returncode == PASSED, done.describe()
    *answers, end = [json.loads(line) for line in done.stdout.splitlines()]
    assert end == {"probe": "end", "outcome": len(answers)}
    return {answer.pop("probe"): answer for answer in answers}


def test_the_walls_are_as_high(outcomes: dict[str, Outcomes]) -> None:
    ours, theirs = outcomes["ours"], outcomes["theirs"]
    assert len(ours) > 200
    other = {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
    assert ours["mounts-propagate"]["outcome"] == []
    assert {name: found for name, found in other.items() if name not in DIFFERENT} == {}


def test_nothing_is_shown_with_fewer_flags(outcomes: dict[str, Outcomes]) -> None:
    """Each mount is where runc has one, and bound as that one is or better."""
    ours, theirs = (_flags(outcomes[name]["mounts"]["outcome"]) for name in RUNTIMES)
    assert ours.keys() == theirs.keys()
    restrictive = {"ro", "nosuid", "nodev", "noexec"}
    assert {place for place, flags in theirs.items() if not flags & restrictive <= ours[place]} == set()


def _flags(mounts: list[str]) -> dict[str, set[str]]:
    words = [line.split(" ") for line in mounts]
    return {place: set(flags.split(",")) for place, _, flags in words}
