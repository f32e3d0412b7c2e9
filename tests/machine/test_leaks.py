# SPDX-License-Identifier: GPL-3.0-or-later
"""The leak check must be able to fail, for each kind of thing that it looks at."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from machine import leaks
from machine.leaks import EXPECTED, Snapshot, compare, unexpected_lines

if TYPE_CHECKING:
    from machine.guest import Machine

NAMES = {kind: ["there before"] for kind in EXPECTED}
CLEAN = Snapshot(NAMES, {"mctld.service": {"pid": 7, "open": ["socket"]}}, [], "")
LEAK = "touch /run/netns/left || { mkdir -p /run/netns; touch /run/netns/left; }; mount -t tmpfs left /mnt; exit 123"
UNDO = "umount /mnt; rm -r /run/netns; exit 123"


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_a_new_name_is_a_leak(kind: str) -> None:
    after = dataclasses.replace(CLEAN, names={**CLEAN.names, kind: ["left", "there before"]})
    assert compare(CLEAN, after) == [f"{kind}: left"]


def test_the_same_state_is_clean() -> None:
    assert compare(CLEAN, CLEAN) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [("units", "mctl-spawner.service loaded active running"), ("units", "mctl-u1000.slice loaded active active"),
     ("records", "/run/systemd/units/invocation:mctld.service"), ("files", "/run/mctl/spawner.sock")],
)  # fmt: skip
def test_our_services_are_no_leak(kind: str, name: str) -> None:
    assert compare(CLEAN, dataclasses.replace(CLEAN, names={**CLEAN.names, kind: [name]})) == []


@pytest.mark.parametrize(("pid", "leaks"), [(7, 1), (8, 0)])
def test_descriptors_are_counted_within_one_life_of_a_service(pid: int, leaks: int) -> None:
    fds: dict[str, dict[str, Any]] = {"mctld.service": {"pid": pid, "open": ["pipe", "socket"]}}
    assert len(compare(CLEAN, dataclasses.replace(CLEAN, fds=fds))) == leaks


def test_journal_lines_are_allowed_by_pattern_only() -> None:
    lines: list[dict[str, Any]] = [{"MESSAGE": "web: killed by signal 9", "PRIORITY": "4"},
                                   {"MESSAGE": list(b"\xffodd"), "PRIORITY": "3"}]  # fmt: skip
    assert len(unexpected_lines(lines, [])) == 2
    assert unexpected_lines(lines, ["killed by", "odd$"]) == []


def test_a_real_leak_is_found(machine: Machine) -> None:
    before = leaks.snapshot(machine)
    machine.script(LEAK)
    found = compare(before, leaks.snapshot(machine))
    machine.script(UNDO)
    assert found == ["mounts: /mnt (tmpfs)", "files: /run/netns/left"]
