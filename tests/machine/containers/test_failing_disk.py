# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk below the service's files fails: everybody is told so, what runs can be stopped, and nothing is lost."""

from __future__ import annotations

import gzip
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Mctl

HOME = "/var/lib/mctl"
LOOPS = 32
# An nspawn machine has no devtmpfs: its loop devices are the outer host's.
NODES = f"""
    [ -e /dev/loop-control ] && exit
    mknod /dev/loop-control c 10 237; for i in $(seq 0 {LOOPS - 1}); do mknod /dev/loop$i b 7 $i; done
"""
NO_NODES = "[ -d /sys/fs/ext4 ] || rm -f /dev/loop-control /dev/loop[0-9]*"
UNMOUNT = f"for i in $(seq 300); do umount {HOME} && break; sleep 0.1; done"  # the last overlay goes with its namespace
MOUNT = f"mount -o loop,errors=remount-ro /srv/disk {HOME}; chmod 700 {HOME}"
MEBIBYTES = 64
# include/uapi/linux/fs.h: FS_IOC_SHUTDOWN, FS_SHUTDOWN_FLAGS_NOLOGFLUSH
SHUT_DOWN = f"import fcntl, os, struct; fcntl.ioctl(os.open('{HOME}', os.O_RDONLY), 0x8004587D, struct.pack('I', 2))"
FAIL = {
    "read-only": f"""
        mkdir /tmp/sys; mount -t sysfs sys /tmp/sys
        number=$(grep ' {HOME} .*ext4.*errors=' /proc/self/mountinfo | cut -d ' ' -f 3)
        echo 1 > /tmp/sys/fs/ext4/loop${{number#7:}}/trigger_fs_error; umount /tmp/sys; rmdir /tmp/sys
    """,
    "dead": f'python3 -c "{SHUT_DOWN}"',
}
WORDS = {"read-only": "is on a read-only file system: make it writable", "dead": "fails (Input/output error)"}


@pytest.fixture
def disk(mctl: Mctl, tmp_path: Path) -> Iterator[Mctl]:
    """The service's directory on a file system that can be made to fail."""
    if mctl.machine.kind == "nspawn" and not os.path.exists("/dev/loop-control"):
        pytest.skip("this host has no loop devices")
    mctl.shell(NODES)
    file = tmp_path / "disk"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", file, f"{MEBIBYTES}M"], check=True)
    mctl.machine.run(["sh", "-c", "gzip -d > /srv/disk"], input=gzip.compress(file.read_bytes(), 1), timeout=120)
    mctl.shell(f"set -e; systemctl stop mctld.service; {MOUNT}; systemctl start mctld.service")
    yield mctl
    names = mctl("ps", "-a", "-q").text.split()
    if names:
        mctl("rm", "-f", *names)
    mctl.shell(f"systemctl stop mctld.service; {UNMOUNT}; rm /srv/disk; systemctl start mctld.service; {NO_NODES}")


@pytest.mark.allow_journal(r"could not store", r"Input/output error", r"Read-only file system", r"is left behind")
@pytest.mark.parametrize("how", FAIL)
def test_a_failing_disk(disk: Mctl, how: str) -> None:
    mctl = disk
    for name in ("one", "two", "three"):
        mctl.run("sleep", "1000", options=["-d", "--name", name, "--network", "none"])
    mctl("create", "--name", "later", "--network", "none", mctl.rootfs, "sleep", "1000")
    mctl.shell(f"sync; {FAIL[how]}")
    for argv in (
        ["create", "--name", "late", mctl.rootfs, "true"], ["start", "later"], ["import", mctl.rootfs, "big"],
        ["volume", "create", "data"], ["network", "create", "late"], ["commit", "one", "changed"], ["rm", "later"],
    ):  # fmt: skip
        refused = mctl(*argv, check=False)
        assert refused.returncode, argv
        assert WORDS[how] in refused.stderr.decode(), (argv, refused.stderr)
    assert mctl("ps").text.count("running") == 3
    mctl("stop", "-t", "0", "one")
    mctl("kill", "two")
    mctl("wait", "two", check=False)
    mctl("rm", "-f", "three", check=False)
    assert mctl("ps", "-q").text == ""
    mctl.shell(f"set -e; systemctl stop mctld.service; {UNMOUNT}; {MOUNT}; systemctl start mctld.service")
    assert set(mctl("ps", "-a", "--format", "{{.Name}}").text.split()) == {"one", "two", "three", "later"}
    for name in ("one", "two", "three"):
        found = mctl.properties(name)
        assert (found["State"], found["ExitHow"], found["ExitStatus"]) == ("exited", "killed", 9)
    mctl("start", "one", "later")
    mctl.run("true", options=["--rm", "--network", "none"])
