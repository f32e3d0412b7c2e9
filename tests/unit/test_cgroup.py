# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit that the host cannot enforce is refused, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mctld.errors import SetupFailed
from mctld.runtime import cgroup
from mctld.spec import Limits

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = frozenset({"cpu", "memory", "pids"})


@pytest.mark.parametrize(
    ("limits", "controller"),
    [
        (Limits(memory_max=8 << 20), "memory"),
        (Limits(memory_swap_max=0), "memory"),
        (Limits(cpu_weight=10), "cpu"),
        (Limits(cpu_quota_per_sec_usec=500_000), "cpu"),
        (Limits(tasks_max=10), "pids"),
    ],
)
def test_a_limit_needs_its_controller(limits: Limits, controller: str) -> None:
    cgroup.check(limits, EVERYTHING)
    with pytest.raises(SetupFailed, match=f"no {controller} controller; `mctl check`"):
        cgroup.check(limits, EVERYTHING - {controller})


def test_no_limit_needs_no_controller_but_a_hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cgroup.controllers"
    monkeypatch.setattr(cgroup, "CONTROLLERS", str(file))
    assert cgroup.available() == frozenset()
    with pytest.raises(SetupFailed, match=r"none is mounted at .*`mctl check`"):
        cgroup.check(Limits(), frozenset())
    file.write_text("cpu io\n")
    assert cgroup.available() == {"cpu", "io"}
    cgroup.check(Limits(), frozenset())
