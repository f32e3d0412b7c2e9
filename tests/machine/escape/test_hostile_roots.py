# SPDX-License-Identifier: GPL-3.0-or-later
"""Root directories made by an enemy: what the runtime mounts, makes or writes must not leave them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import expected
from .conftest import with_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.containers.conftest import Mctl

IMAGE, OUTSIDE = "/srv/hostile", "/srv/outside"
MAKE = f"""
mkdir -p {IMAGE}/bin {OUTSIDE}/dir/pts; cp /bin/busybox {IMAGE}/bin/; ln -s busybox {IMAGE}/bin/sh
for name in hosts hostname resolv.conf file; do echo canary > {OUTSIDE}/$name; done
"""
STATE = f"find {OUTSIDE} -printf '%P %y %s %T@ %m %U\\n' | sort; find {OUTSIDE} -type f | sort | xargs sha256sum"
IMAGES = f"find {IMAGE} -printf '%P %y %l\\n' | sort"
HOST = """
cat /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /etc/hosts /etc/hostname 2>/dev/null | sha256sum
ls -l /etc /dev | sort
"""


@pytest.fixture
def hostile(mctl: Mctl) -> Iterator[Mctl]:
    mctl.shell(MAKE)
    outside, host = mctl.shell(STATE).text, mctl.shell(HOST).text
    assert "canary" not in outside
    yield with_root(mctl.machine, IMAGE)
    assert mctl.shell(STATE).text == outside
    assert mctl.shell(HOST).text == host
    mctl.shell(f"rm -r {IMAGE} {OUTSIDE}")


def trap(mctl: Mctl, script: str) -> str:
    """Changes the image; returns what it then looks like."""
    mctl.shell(f"cd {IMAGE}; {script}")
    return mctl.shell(IMAGES).text


@pytest.mark.parametrize("place", ["dev", "proc", "sys"])
@pytest.mark.parametrize("target", [f"{OUTSIDE}/dir", "../../../../../../srv/outside/dir", "/tmp", "tmp", "missing"])
def test_a_symlink_where_a_file_system_belongs_is_refused(hostile: Mctl, place: str, target: str) -> None:
    """CVE-2026-47766, CVE-2019-19921: crun 1.21 and runc 1.1.15 fill the directory it leads to."""
    before = trap(hostile, f"mkdir tmp; ln -s {target} {place}")
    result = hostile.run("true", options=["--rm"], check=False)
    assert result.returncode == 125
    assert f"/{place}" in result.stderr.decode()
    assert hostile.shell(IMAGES).text == before


@pytest.mark.parametrize("place", ["dev", "proc", "sys"])
def test_a_file_where_a_file_system_belongs_is_refused(hostile: Mctl, place: str) -> None:
    before = trap(hostile, f"echo x > {place}")
    assert hostile.run("true", options=["--rm"], check=False).returncode == 125
    assert hostile.shell(IMAGES).text == before


@pytest.mark.parametrize("below", ["pts", "shm", "mqueue", "null", "fd", "ptmx"])
def test_what_the_image_has_below_dev_is_covered(hostile: Mctl, below: str) -> None:
    trap(hostile, f"mkdir dev; ln -s {OUTSIDE}/dir dev/{below}")
    result = hostile.run("/bin/busybox", "ls", "/dev", options=["--rm"])
    assert result.text.split() == expected.DEV


def test_a_null_device_of_the_image_masks_nothing(hostile: Mctl) -> None:
    """CVE-2025-31133: runc bound the image's /dev/null, by then a link to core_pattern, over what it masked."""
    trap(hostile, "mkdir dev; ln -s /proc/sys/kernel/core_pattern dev/null")
    script = "stat -c '%F %t:%T' /dev/null; head -c 1 /proc/kcore; echo evil > /proc/sys/kernel/core_pattern; echo done"
    result = hostile.run("/bin/busybox", "sh", "-c", script, options=["--rm"])
    assert result.text.splitlines() == ["character special file 1:3", "done"]


@pytest.mark.parametrize("name", ["hosts", "hostname", "resolv.conf"])
@pytest.mark.parametrize("how", ["link", "link-of-the-directory", "fifo", "directory", "relative-link"])
def test_files_in_etc_are_no_way_out(hostile: Mctl, name: str, how: str) -> None:
    """Neither the image nor what its links name is written to; a FIFO blocks nobody."""
    script = {
        "link": f"mkdir etc; ln -s {OUTSIDE}/{name} etc/{name}",
        "relative-link": f"mkdir etc; ln -s ../../../../..{OUTSIDE}/{name} etc/{name}",
        "link-of-the-directory": f"ln -s {OUTSIDE} etc",
        "fifo": f"mkdir etc; mkfifo etc/{name}",
        "directory": f"mkdir -p etc/{name}",
    }[how]
    before = trap(hostile, script)
    hostile.run("true", options=["--rm", "--hostname", "evil"], check=False, timeout=20)
    assert hostile.shell(IMAGES).text == before


@pytest.mark.parametrize("path", ["/link", "/relative", "/dir/../link", "/proc/1/root", "/proc/self/cwd", "/dev/fd/0"])
def test_a_working_directory_stays_inside(hostile: Mctl, path: str) -> None:
    """Links are followed inside the root; magic links are not followed at all (CVE-2024-21626)."""
    trap(hostile, f"mkdir dir; ln -s {OUTSIDE}/dir link; ln -s ../../../../srv/outside/dir relative")
    script = "pwd; ls ../../../../../../../srv 2>/dev/null"
    result = hostile.run("/bin/busybox", "sh", "-c", script, options=["--rm", "-w", path], check=False)
    assert result.returncode == 125
    assert result.stdout == b""


def test_no_descriptor_is_a_working_directory(hostile: Mctl) -> None:
    """CVE-2024-21626, with every number that a starting program could have left open."""
    count = 64
    each = f"mctl run --rm -w /proc/self/fd/$0 {IMAGE} /bin/busybox pwd; echo $?"
    result = hostile.shell(f"seq 0 {count - 1} | xargs -P 4 -n 1 sh -c '{each}' 2>/dev/null", timeout=200)
    assert result.text.split() == ["125"] * count
