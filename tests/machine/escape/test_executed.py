# SPDX-License-Identifier: GPL-3.0-or-later
"""`mctl exec` enters a container whose processes lie in wait for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.containers.conftest import Mctl

# The container's first process looks at every process that appears, as its root, until it is told to stop. The one who
# enters executes busybox in the end; whatever is another program before that is the service's.
HUNTER = """\
import json, os, signal
seen, caught, stop = 0, set(), []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
own = {"busybox", "true", "sleep", "sh", "ls"}
def comm(pid):
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()
def foreign(pid):
    return comm(pid) not in own
def tries(pid):
    yield "executable", lambda: os.close(os.open(f"/proc/{pid}/exe", os.O_RDONLY))
    yield "executable for writing", lambda: os.close(os.open(f"/proc/{pid}/exe", os.O_WRONLY))
    yield "descriptors", lambda: [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
    yield "memory, as ptrace(2) would", lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
    yield "environment", lambda: open(f"/proc/{pid}/environ").read(1)
    yield "root", lambda: os.listdir(f"/proc/{pid}/root/var/lib")
    yield "working directory", lambda: os.listdir(f"/proc/{pid}/cwd/")
print("hunting", flush=True)
known = set(os.listdir("/proc"))
while not stop:
    now = set(os.listdir("/proc"))
    for pid in filter(str.isdigit, now - known):
        try:
            if not foreign(pid):
                continue
            seen += 1
            for name, attempt in tries(pid):
                try:
                    attempt()
                    if foreign(pid):
                        caught.add(name)
                except OSError:
                    pass
        except OSError:
            pass
    known = now
print(json.dumps({"seen": seen, "caught": sorted(caught)}), flush=True)
"""
TIMES = 100
FORGERS = ("/proc/self/exe", "/proc/1/exe", "/link", "/proc/self/fd/0")


@pytest.fixture
def hunter(mctl: Mctl) -> Iterator[Mctl]:
    mctl.run("/usr/bin/python3", "-IBSuc", HUNTER, options=["-d", "--name", "hunter"])
    mctl.shell("until mctl logs hunter | grep -q hunting; do sleep 0.05; done", timeout=60)
    yield mctl
    mctl("rm", "-f", "hunter")


def test_who_enters_cannot_be_caught_on_the_way(hunter: Mctl) -> None:
    """CVE-2016-9962, CVE-2019-5736: a hundred entries, each watched by the container's root."""
    each = "mctl exec hunter /bin/busybox true 2>&1 || echo failed"
    result = hunter.shell(f"seq {TIMES} | xargs -P 3 -n 1 sh -c '{each}'", timeout=200)
    assert result.text == ""
    hunter("stop", "-t", "20", "hunter")
    found = json.loads(hunter("logs", "hunter").text.splitlines()[-1])
    assert found["seen"] > 0, "the hunter saw nobody on the way: it proves nothing"
    assert found["caught"] == []


@pytest.mark.parametrize("entry", FORGERS)
def test_no_magic_link_is_entered(mctl: Mctl, entry: str) -> None:
    forge = "ln -s /proc/self/exe /link; exec sleep 1000"
    mctl.run("/bin/busybox", "sh", "-c", forge, options=["-d", "--name", "forger"])
    result = mctl("exec", "forger", entry, "-IBSc", "print('the host program')", check=False)
    mctl("rm", "-f", "forger")
    assert result.returncode == 126
    assert result.stdout == b""


def test_no_descriptor_is_a_working_directory_of_who_enters(mctl: Mctl) -> None:
    """CVE-2024-21626 again: it was runc exec too."""
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
