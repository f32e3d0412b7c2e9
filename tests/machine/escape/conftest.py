# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe program runs once per profile; each probe's outcome is then a test of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from machine import leaks
from machine.containers.conftest import RELOAD, RULE, RULE_FILE, Mctl
from machine.guest import PASSED

from . import root
from .profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.guest import Machine, Result

    from .profiles import Profile

SECONDS = 300  # emulated machines are slow


class Walls:
    """What the probes came to, found out at the first question."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._found: dict[str, dict[str, dict[str, Any]]] = {}

    def warm(self, profile: Profile) -> None:
        """What a first run makes stays: the service's memory and its compiled filter, until it is restarted."""
        self._machine.run(profile.argv(command=("/bin/busybox", "true")), user=profile.caller, timeout=SECONDS)

    def of(self, profile: Profile) -> dict[str, dict[str, Any]]:
        if profile.name not in self._found:
            self._found[profile.name] = {}  # a program that did not run is not tried once per probe
            results = [self._machine.run(argv, user=profile.caller, check=False, timeout=SECONDS)
                       for argv in profile.scripts()]  # fmt: skip
            self._found[profile.name] = parse(results[-2])
        return self._found[profile.name]


def parse(result: Result) -> dict[str, dict[str, Any]]:
    """Raises AssertionError where the program did not come to its end."""
    assert result.returncode == PASSED, result.describe()
    *answers, end = [json.loads(line) for line in result.stdout.splitlines()]
    assert end == {"probe": "end", "outcome": len(answers)}
    return {answer.pop("probe"): answer for answer in answers}


@pytest.fixture(scope="session")
def walls(session_machine: Machine) -> Iterator[Walls]:
    root.make(session_machine)
    session_machine.run(["sh", "-c", f"cat > {RULE_FILE}; {RELOAD}"], input=RULE.encode())
    yield Walls(session_machine)
    session_machine.run(["sh", "-c", f"rm {RULE_FILE}; {RELOAD}"])


@pytest.fixture(scope="module")
def mctl(request: pytest.FixtureRequest, session_machine: Machine, walls: Walls) -> Iterator[Mctl]:
    """The command line with the directory that has Python; after a whole module nothing may be left behind."""
    walls.warm(PROFILES[0])
    before = leaks.snapshot(session_machine)
    yield with_root(session_machine, root.ROOT)
    names = session_machine.run(["mctl", "ps", "-a", "-q"]).text.split()
    if names:
        session_machine.run(["mctl", "rm", "-f", *names])
    allowed = [pattern for mark in request.node.iter_markers("allow_journal") for pattern in mark.args]
    left = leaks.check(session_machine, before, allowed)
    assert not left, "left behind:\n  " + "\n  ".join(left)


def with_root(machine: Machine, directory: str) -> Mctl:
    made = Mctl(machine)
    made.rootfs = directory
    return made
