# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers share nothing with one another, and the host is the same after two hundred of them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from . import expected, root

if TYPE_CHECKING:
    from machine.containers.conftest import Mctl

# Leaves one of each kind of object where others might find it, says so, and stays.
SETTLE = """\
import ctypes, json, os, socket, time
libc = ctypes.CDLL(None, use_errno=True)
assert libc.shmget(0x5EC2E7, 4096, 0o1600) >= 0
assert libc.semget(0x5EC2E7, 1, 0o1600) >= 0
assert libc.msgget(0x5EC2E7, 0o1600) >= 0
open("/dev/shm/secret", "w").close(); open("/dev/mqueue/secret", "w").close(); open("/tmp/secret", "w").close()
listener = socket.socket(socket.AF_UNIX); listener.bind("\\0secret"); listener.listen()
tcp = socket.socket(); tcp.bind(("127.0.0.1", 4711)); tcp.listen()
print(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}), flush=True)
time.sleep(1000)
"""
SEEK = """\
import ctypes, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)
found = [name for name in ("shmget", "msgget") if getattr(libc, name)(0x5EC2E7, 0, 0) >= 0]
found += [path for path in ("/dev/shm/secret", "/dev/mqueue/secret", "/tmp/secret") if os.path.exists(path)]
for family, address in ((socket.AF_UNIX, "\\0secret"), (socket.AF_INET, ("127.0.0.1", 4711))):
    try:
        socket.socket(family).connect(address)
        found.append(str(address))
    except OSError:
        pass
print(json.dumps({"found": found, "pids": [p for p in os.listdir("/proc") if p.isdigit()]}))
"""
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
HOST = """
cat /proc/1/mountinfo /proc/1/uid_map /proc/1/cgroup /proc/sysvipc/*
for kind in cgroup ipc mnt net pid user uts; do readlink /proc/1/ns/$kind; done
ls /run/netns /dev/shm /dev/mqueue 2>/dev/null; hostname
sysctl -a 2>/dev/null | grep -E 'core_pattern|ip_forward|modprobe'
"""


def outside(mctl: Mctl, name: str) -> dict[str, Any]:
    """What the host sees of a running container."""
    pid = mctl.properties(name)["MainPID"]
    shell = mctl.shell
    inside, first, count = map(int, shell(f"cat /proc/{pid}/uid_map").text.split())
    assert inside == 0
    mounts = shell(f"cat /proc/{pid}/mountinfo").text.splitlines()
    return {
        "ids": range(first, first + count),
        "namespaces": {shell(f"readlink /proc/{pid}/ns/{kind}").text.strip() for kind in KINDS},
        "mounts": {line.split()[0] for line in mounts},
        "devices": {line.split()[2] for line in mounts if re.search(r" - (overlay|tmpfs|devpts|proc|mqueue) ", line)
                    and line.split()[4] in ("/", "/dev", "/dev/pts", "/dev/shm", "/proc", "/dev/mqueue")},
        "group": shell(f"tail -1 /proc/{pid}/cgroup").text,
    }  # fmt: skip


def test_two_containers_share_nothing(mctl: Mctl) -> None:
    for name in ("one", "two"):
        mctl.run("/usr/bin/python3", "-IBSc", SETTLE, options=["-d", "--name", name])
    for name in ("one", "two"):
        mctl.shell(f"until mctl logs {name} | grep -q pid; do sleep 0.05; done", timeout=20)
        assert json.loads(mctl("logs", name).text) == {"pid": 1, "host": name}
    one, two = outside(mctl, "one"), outside(mctl, "two")
    assert not set(one["ids"]) & set(two["ids"])
    for kind in ("namespaces", "mounts", "devices"):
        assert one[kind], kind
        assert not one[kind] & two[kind], kind
    assert one["group"] != two["group"]
    found = json.loads(mctl.run("/usr/bin/python3", "-IBSc", SEEK, options=["--rm"]).text)
    assert found == {"found": [], "pids": ["1"]}
    mctl("rm", "-f", "one", "two")


def test_what_one_leaves_another_would_find(mctl: Mctl) -> None:
    """The seeker sees what is there: in the settler's own container it finds everything."""
    both = f"import os\nif os.fork():\n    import time; time.sleep(1)\n    exec({SEEK!r})\nelse:\n    exec({SETTLE!r})"
    lines = mctl.run("/usr/bin/python3", "-IBSc", both, options=["--rm"]).text.splitlines()
    assert len(json.loads(lines[-1])["found"]) == 7


def test_the_host_is_the_same_after_two_hundred_containers(mctl: Mctl) -> None:
    """Propagation: no mount, no namespace, no name and no System V object of a container comes out."""
    before = mctl.shell(HOST).text
    for options, count in (("", 180), ("--userns host", 20)):
        command = f"mctl run --rm {options} {mctl.rootfs} /bin/busybox true || echo failed"
        result = mctl.shell(f"seq {count} | xargs -P 8 -I{{}} sh -c '{command}'", timeout=200)
        assert result.text == ""
    assert mctl.shell(HOST).text == before


def test_nobody_else_sees_the_state(mctl: Mctl) -> None:
    """CVE-2021-41091: images' and layers' files, set-user-ID ones too, are out of users' reach."""
    mctl.run("/bin/busybox", "sleep", "1000", options=["-d", "--name", "state"])
    listed = mctl.shell("runuser -u alice -- find /var/lib/mctl /run/mctl -mindepth 1 -print 2>/dev/null", check=False)
    assert [path for path in listed.text.split() if path.startswith("/var/lib/mctl")] == []
    for path in listed.text.split():
        readable = mctl.shell(f"runuser -u alice -- sh -c 'cat {path} || ls {path}/' 2>/dev/null", check=False)
        assert readable.text == "", path
    directory = mctl.shell("ls -d /var/lib/mctl/containers/*").text.split()[0]
    assert mctl.shell(f"runuser -u alice -- stat {directory}", check=False).returncode != 0
    mctl("rm", "-f", "state")


@pytest.mark.parametrize("pattern", ["mctl", "container", "spawn"])
def test_we_have_no_abstract_socket(mctl: Mctl, pattern: str) -> None:
    """CVE-2020-15257: whoever shares the host's network namespace may connect to those."""
    mctl.run("/bin/busybox", "sleep", "1000", options=["-d", "--name", "socket"])
    names = [line.split()[-1] for line in mctl.machine.read("/proc/net/unix").decode().splitlines()[1:]]
    assert any(name.startswith("/run/") for name in names)
    assert [name for name in names if name.startswith("@") and pattern in name] == []
    mctl("rm", "-f", "socket")


@pytest.mark.parametrize("text", ["1:", ":1", "-1", "+1", "0x1", "4294967295", "4294967296", "01", "root:", "a:b:c",
                                  " 1", "1 ", "1.0", "", "1:2:3", "1e3", "\u0661", "1\n", "0:-1"])  # fmt: skip
def test_a_user_that_is_no_name_and_no_number_is_refused(mctl: Mctl, text: str) -> None:
    """CVE-2024-40635: containerd took 2147483648 for root."""
    result = mctl.run("/bin/busybox", "id", options=["--rm", "-u", text], check=False)
    assert (result.returncode, result.stdout) == (125, b"")
    assert "USER" in result.stderr.decode()


@pytest.mark.parametrize("text", ["65536", "2147483648", "4294967294", "0:65536", "0:2147483648"])
def test_a_user_beyond_the_range_is_never_another(mctl: Mctl, text: str) -> None:
    result = mctl.run("/bin/busybox", "id", options=["--rm", "-u", text], check=False)
    assert (result.returncode, result.stdout) == (125, b"")


@pytest.mark.parametrize(("text", "shown"), [("1", "uid=1 gid=0"), ("65535:65535", "uid=65535 gid=65535"),
                                             ("0:7", "uid=0 gid=7")])  # fmt: skip
def test_a_user_is_who_was_asked_for(mctl: Mctl, text: str, shown: str) -> None:
    assert mctl.run("/bin/busybox", "id", options=["--rm", "-u", text]).text.strip().startswith(shown)


def test_the_host_names_differ(mctl: Mctl) -> None:
    argv = [*root.ARGV, "hostname"]
    names = {mctl.run(*argv, options=["--rm"], check=False).stdout.splitlines()[0] for _ in range(2)}
    assert len(names) == 2
    assert expected.HOSTNAME not in str(names)


def test_session_keyrings_are_ones_own(mctl: Mctl) -> None:
    """CVE-2016-0728: keys know no namespaces. Asked with nothing in the way, where the filter is not what answers."""
    argv = [*root.ARGV, "session-keyring"]
    answers = [mctl.run(*argv, options=["--rm", "--privileged"], check=False) for _ in range(2)]
    rings = [json.loads(answer.stdout.splitlines()[0])["outcome"] for answer in answers]
    assert all(isinstance(ring, int) and ring > 0 for ring in rings)
    assert rings[0] != rings[1]
