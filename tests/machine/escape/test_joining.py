# SPDX-License-Identifier: GPL-3.0-or-later
"""CVE-2016-9962: a container that lies in wait for processes of the host that come in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from machine.containers.conftest import Mctl

# Looks at every new process all the time; what it can do counts while that is still the host's own program.
HUNTER = """\
import ctypes, json, os, signal, sys
SEIZE, DETACH = 0x4206, 17
libc = ctypes.CDLL(None, use_errno=True)
seen, opened, stop = set(), [], []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))

def is_hosts(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return b"mctl-spawner" in file.read()

def traced(pid):
    if libc.ptrace(SEIZE, pid, None, None) == -1:
        raise OSError(ctypes.get_errno(), "ptrace")
    libc.ptrace(DETACH, pid, None, None)

ATTEMPTS = {
    "ptrace": traced,
    "fd": lambda pid: os.listdir(f"/proc/{pid}/fd"),
    "fd/0": lambda pid: os.readlink(f"/proc/{pid}/fd/0"),
    "exe": lambda pid: os.close(os.open(f"/proc/{pid}/exe", os.O_RDONLY)),
    "exe, to be written": lambda pid: os.close(os.open(f"/proc/{pid}/exe", os.O_WRONLY)),
    "root": lambda pid: os.listdir(f"/proc/{pid}/root/"),
    "cwd": lambda pid: os.listdir(f"/proc/{pid}/cwd/"),
    "mem": lambda pid: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)),
    "environ": lambda pid: open(f"/proc/{pid}/environ", "rb").read(),
    "maps": lambda pid: open(f"/proc/{pid}/maps", "rb").read(),
}

def hunt(pid):
    for name, attempt in ATTEMPTS.items():
        try:
            if not is_hosts(pid):
                return
            seen.add(pid)
            attempt(pid)
            if is_hosts(pid):
                opened.append(name)
        except OSError:
            continue

print("ready", flush=True)
while not stop:
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) > 1:
            hunt(int(entry))
print(json.dumps({"seen": len(seen), "opened": sorted(set(opened))}), flush=True)
"""


def test_nobody_inside_reaches_into_a_command_before_it_executes(mctl: Mctl) -> None:
    """With the one capability that is made for it, in a container whose system calls are not filtered."""
    walls = ["--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined"]
    mctl.run("/usr/bin/python3", "-IBSc", HUNTER, options=["-d", "--name", "hunter", *walls])
    mctl.shell("for i in $(seq 300); do mctl logs hunter | grep -q ready && exit; sleep 0.1; done; exit 1")
    mctl.shell("for i in $(seq 200); do mctl exec hunter /bin/busybox true || exit 1; done", timeout=300)
    mctl("kill", "-s", "TERM", "hunter")
    mctl.shell("busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s hunter")
    found = json.loads(mctl("logs", "hunter").text.splitlines()[-1])
    assert found["seen"] > 20, "it has to have been there in time"
    assert found["opened"] == []
    mctl("rm", "hunter")


def test_no_magic_link_is_executed(mctl: Mctl) -> None:
    """CVE-2019-5736."""
    mctl.run("/bin/busybox", "sleep", "1000", options=["-d", "--name", "still"])
    mctl("exec", "still", "/bin/busybox", "ln", "-s", "/proc/self/exe", "/tmp/link")
    for command in ("/proc/self/exe", "/proc/1/exe", "/tmp/link", "/proc/self/fd/3", "/proc/self/fd/9"):
        result = mctl("exec", "still", command, "-IBSc", "print('the host program')", check=False)
        assert result.returncode in (126, 127)
        assert result.stdout == b""
    for directory in ("/proc/self/fd/0", "/proc/self/fd/9", "/proc/self/cwd/../../.."):
        result = mctl("exec", "-w", directory, "still", "/bin/busybox", "pwd", check=False)
        assert (result.returncode, result.stdout) in ((125, b""), (0, b"/\n"))
    mctl("rm", "-f", "still")
