# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies, processors, I/O classes and personality: of the first process, and of what is executed beside it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from kernel.oci.conftest import Runtime

DEADLINE = {"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 20_000_000, "period": 50_000_000}
# Policy and nice as proc_pid_stat(5) numbers them: what stands after the name begins with the third field.
POLICY, NICE = 41 - 3, 19 - 3
SCHEDULED: list[tuple[dict[str, Any], tuple[int, int]]] = [
    ({"policy": "SCHED_OTHER", "nice": 7}, (0, 7)),
    ({"policy": "SCHED_BATCH", "nice": -3}, (3, -3)),
    ({"policy": "SCHED_BATCH"}, (3, os.getpriority(os.PRIO_PROCESS, 0))),
    ({"policy": "SCHED_IDLE"}, (5, os.getpriority(os.PRIO_PROCESS, 0))),
]


def scheduling(printed: str) -> tuple[int, int]:
    fields = printed.rpartition(")")[2].split()
    return int(fields[POLICY]), int(fields[NICE])


@pytest.mark.parametrize(("scheduler", "expected"), SCHEDULED, ids=str)
def test_policies(runtime: Runtime, scheduler: dict[str, Any], expected: tuple[int, int]) -> None:
    assert scheduling(runtime.run("cat", "/proc/self/stat", process_scheduler=scheduler)) == expected


def test_a_policy_with_deadlines(runtime: Runtime) -> None:
    """sched(7): all of 0 < runtime <= deadline <= period."""
    assert scheduling(runtime.run("cat", "/proc/self/stat", process_scheduler=DEADLINE))[0] == 6
    told = runtime.fails("true", process_scheduler={**DEADLINE, "runtime": DEADLINE["period"]})
    assert "set scheduling: sched_setattr: Invalid argument" in told


def test_children_may_begin_anew(runtime: Runtime) -> None:
    """A task with deadlines may only fork with this flag, sched(7)."""
    flagged = {**DEADLINE, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}
    assert scheduling(runtime.run("sh", "-c", "cat /proc/self/stat; true", process_scheduler=flagged))[0] == 0


def test_an_exec_is_scheduled_too(runtime: Runtime, tmp_path: Path) -> None:
    """runc does so as well: what is executed has the container's own properties, or those of its process.json."""
    batch = {"policy": "SCHED_BATCH", "nice": 4}
    runtime.configure("sleep", "1000", process_scheduler=batch, linux_personality={"domain": "LINUX32"})
    runtime.create()
    runtime.call("start", "one")
    assert scheduling(runtime.call("exec", "one", "cat", "/proc/self/stat").stdout) == (3, 4)
    assert runtime.call("exec", "one", "cat", "/proc/self/personality").stdout == "00000008\n"  # PER_LINUX32
    idle = {"cwd": "/", "args": ["cat", "/proc/self/stat"], "env": ["PATH=/bin"], "scheduler": {"policy": "SCHED_IDLE"}}
    (tmp_path / "process.json").write_text(json.dumps(idle))
    assert scheduling(runtime.call("exec", "--process", str(tmp_path / "process.json"), "one").stdout)[0] == 5


@pytest.mark.parametrize("affinity", [{"initial": "{}"}, {"final": "{}"}, {"initial": "0-63", "final": "{}"}], ids=str)
def test_an_exec_has_its_processors(runtime: Runtime, tmp_path: Path, affinity: dict[str, str]) -> None:
    last = str(max(os.sched_getaffinity(0)))
    chosen = {name: text.format(last) for name, text in affinity.items()}
    runtime.configure("sleep", "1000")
    runtime.create()
    runtime.call("start", "one")
    process = {"cwd": "/", "args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "env": ["PATH=/bin"]}
    (tmp_path / "process.json").write_text(json.dumps({**process, "execCPUAffinity": chosen}))
    assert runtime.call("exec", "--process", str(tmp_path / "process.json"), "one").stdout.split()[1] == last


def test_processors_that_are_not_there(runtime: Runtime, tmp_path: Path) -> None:
    runtime.configure("sleep", "1000")
    runtime.create()
    for name in ("initial", "final"):
        process = {"cwd": "/", "args": ["true"], "env": ["PATH=/bin"], "execCPUAffinity": {name: "1000"}}
        (tmp_path / "process.json").write_text(json.dumps(process))
        done = runtime.call("exec", "--process", str(tmp_path / "process.json"), "one", check=False)
        assert (done.returncode, "set the affinity to processors 1000" in done.stderr) == (255, True)
