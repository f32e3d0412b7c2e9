# SPDX-License-Identifier: GPL-3.0-or-later
"""Who enters by `mctl exec` is bound as the container's first process is (test_joining.py: and is out of reach)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from machine.containers.conftest import Mctl


def test_no_descriptor_is_a_working_directory_of_who_enters(mctl: Mctl) -> None:
    """CVE-2024-21626 was runc exec too: every number that the entering process could have open."""
    mctl.run("/bin/busybox", "sleep", "1000", options=["-d", "--name", "entered"])
    each = "mctl exec -w /proc/self/fd/$0 entered /bin/busybox pwd; echo $?"
    result = mctl.shell(f"seq 0 31 | xargs -P 3 -n 1 sh -c '{each}' 2>/dev/null", timeout=100)
    magic = ("/proc/1/cwd", "/proc/self/root")
    links = [mctl("exec", "-w", path, "entered", "/bin/busybox", "pwd", check=False) for path in magic]
    mctl("rm", "-f", "entered")
    assert result.text.split() == ["125"] * 32
    assert [result.returncode for result in links] == [125, 125]


def test_who_enters_is_bound_as_the_container_is(mctl: Mctl) -> None:
    """A static program shows the same state, born or entered."""
    wanted = ("Cap", "Seccomp", "NoNewPrivs", "Sig", "Umask", "Groups", "Uid", "Gid", "Cpus_allowed_list")
    command = ("/bin/busybox", "cat", "/proc/self/status")
    mctl.run("/bin/busybox", "sleep", "1000", options=["-d", "--name", "bound"])
    entered, born = mctl("exec", "bound", *command).text, mctl.run(*command, options=["--rm"]).text
    mctl("rm", "-f", "bound")
    states = [[line for line in text.splitlines() if line.startswith(wanted)] for text in (entered, born)]
    assert len(states[0]) > 12
    assert states[0] == states[1]
