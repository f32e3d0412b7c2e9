# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine is what the other tests take it for."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from machine.guest import CommandFailedError
from machine.qemu import Qemu

if TYPE_CHECKING:
    from pathlib import Path

    from machine.guest import Machine

pytestmark = pytest.mark.both


def test_systemd_runs_as_pid_1_and_nothing_failed(machine: Machine) -> None:
    assert machine.run(["cat", "/proc/1/comm"]).text == "systemd\n"
    assert machine.run(["systemctl", "is-system-running"]).text == "running\n"


@pytest.mark.parametrize("status", [0, 1, 123, 255])
def test_exit_statuses_are_exact(machine: Machine, status: int) -> None:
    assert machine.run(["sh", "-c", f"exit {status}"], check=False).returncode == status


def test_an_unknown_command_is_127_and_a_signal_negative(machine: Machine) -> None:
    assert machine.run(["/no/such/command"], check=False).returncode == 127
    assert machine.run(["sh", "-c", "kill -9 $$"], check=False).returncode == -9


def test_a_failed_command_raises(machine: Machine) -> None:
    with pytest.raises(CommandFailedError, match="ended with 1"):
        machine.run(["false"])


def test_a_script_without_the_sentinel_failed(machine: Machine) -> None:
    machine.script("true; exit 123")
    with pytest.raises(CommandFailedError):
        machine.script("true")


def test_a_command_that_takes_too_long_is_killed(machine: Machine) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        machine.run(["sleep", "4321"], timeout=1)
    assert machine.run(["pgrep", "-x", "-f", "sleep 4321"], check=False).text == ""


def test_bytes_pass_unchanged(machine: Machine) -> None:
    data = bytes(range(256)) * 1000
    result = machine.run(["sh", "-c", "tee /dev/stderr"], input=data)
    assert result.stdout == data
    assert result.stderr == data


@pytest.mark.parametrize(("user", "uid"), [(None, 0), ("alice", 1000), ("bob", 1001)])
def test_commands_run_as_their_user(machine: Machine, user: str | None, uid: int) -> None:
    assert machine.run(["id", "-u"], user=user).text == f"{uid}\n"


def test_files_and_directories_are_pushed(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "tool").write_bytes(b"#!/bin/sh\nexit 9\n")
    (tmp_path / "below" / "tool").chmod(0o755)
    machine.push(tmp_path, "/root/pushed")
    machine.push(tmp_path / "below" / "tool", "/root/pushed/tool")
    for path in ("/root/pushed/below/tool", "/root/pushed/tool"):
        assert machine.run([path], check=False).returncode == 9
    machine.run(["rm", "-r", "/root/pushed"])


def test_the_journal_works(machine: Machine) -> None:
    machine.run(["systemd-cat", "-t", "smoke", "echo", "a line"])
    machine.run(["journalctl", "--sync"])
    assert machine.run(["journalctl", "-q", "-t", "smoke", "-o", "cat"]).text.endswith("a line\n")


def test_commands_count_as_part_of_init(machine: Machine) -> None:
    assert "0::/init.scope\n" in machine.run(["cat", "/proc/self/cgroup"]).text


def test_state_lies_on_a_real_file_system(machine: Machine) -> None:
    """An upper directory may not lie on overlayfs."""
    for path in ("/var/lib/mctl", "/srv"):
        found = machine.run(["sh", "-c", 'mkdir -p "$1"; stat -f -c %T "$1"', "sh", path]).text.strip()
        assert found not in ("overlayfs", "UNKNOWN"), path


@pytest.mark.qemu
def test_qemu_has_every_controller(machine: Machine) -> None:
    controllers = machine.read("/sys/fs/cgroup/cgroup.controllers").decode().split()
    assert {"cpu", "memory", "pids", "io"} <= set(controllers)


@pytest.mark.qemu
def test_qemu_comes_back_after_the_reset_button(machine: Machine) -> None:
    assert isinstance(machine, Qemu)
    machine.run(["sh", "-c", "echo kept >/root/kept; sync"])
    machine.reset()
    assert machine.read("/root/kept") == b"kept\n"
