# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: where they are mounted is the container's to say, but never outside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import with_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.containers.conftest import Mctl

SHARED, OTHER, OUTSIDE, IMAGE = "/srv/shared", "/srv/other", "/srv/outside", "/srv/linked"
MAKE = f"""
mkdir -p {SHARED}/place {OTHER} {OUTSIDE}/dir {IMAGE}/bin; ln -s / {SHARED}/trap; echo other > {OTHER}/other
cp /bin/busybox {IMAGE}/bin/; ln -s busybox {IMAGE}/bin/sh
ln -s {OUTSIDE}/dir {IMAGE}/absolute; ln -s ../../../../srv/outside/dir {IMAGE}/relative
ln -s /proc/1/root {IMAGE}/magic
"""
STATE = f"find {OUTSIDE} | sort; cat /proc/1/mountinfo; ls /srv"
# Exchanges a directory and a link to / as fast as it can: renameat2(2), RENAME_EXCHANGE.
SWAP = """\
import ctypes, os
libc = ctypes.CDLL(None)
number = {"x86_64": 316, "aarch64": 276}[os.uname().machine]
directory = os.open("/shared", os.O_RDONLY)
print("swapping", flush=True)
while True:
    libc.syscall(number, directory, b"place", directory, b"trap", 2)
"""
STARTS = 60


@pytest.fixture(scope="module")
def linked(mctl: Mctl) -> Iterator[Mctl]:
    mctl.shell(MAKE)
    before = mctl.shell(STATE).text
    yield with_root(mctl.machine, IMAGE)
    assert mctl.shell(STATE).text == before
    mctl.shell(f"rm -r {SHARED} {OTHER} {OUTSIDE} {IMAGE}")


def test_a_target_that_is_swapped_for_a_link_leads_nowhere(linked: Mctl, mctl: Mctl) -> None:
    """CVE-2021-30465: runc resolved the target, then mounted on its name."""
    mctl.run("/usr/bin/python3", "-IBSuc", SWAP, options=["-d", "--name", "swapper", "-v", f"{SHARED}:/shared"])
    mctl.shell("until mctl logs swapper | grep -q swapping; do sleep 0.05; done", timeout=60)
    look = "grep /srv/other /proc/self/mountinfo"
    start = f"mctl run --rm -v {SHARED}:/shared -v {OTHER}:/shared/place {IMAGE} /bin/busybox sh -c \"{look}\""
    result = mctl.shell(f"seq {STARTS} | xargs -P 3 -I{{}} sh -c '{start} || echo refused' 2>/dev/null", timeout=200)
    mctl("rm", "-f", "swapper")
    lines = result.text.splitlines()
    assert len(lines) == STARTS
    mounted = {line.split()[4] for line in lines if line != "refused"}
    assert mounted <= {"/shared/place", "/shared/trap"}  # and not over its own root, that the link names
    assert mounted, "no start came through: the race was not run"


def test_a_part_that_is_swapped_for_a_link_shows_nothing_else(linked: Mctl, mctl: Mctl) -> None:
    """As above, of what is shown: a volume-subpath. The kernel walks no link on the way to it."""
    mctl.run("sh", "-c", "mkdir /shared/place; touch /shared/place/mine; ln -s / /shared/trap",
             options=["--rm", "-v", "parts:/shared"])  # fmt: skip
    mctl.run("/usr/bin/python3", "-IBSuc", SWAP, options=["-d", "--name", "swapper", "-v", "parts:/shared"])
    mctl.shell("until mctl logs swapper | grep -q swapping; do sleep 0.05; done", timeout=60)
    part = "type=volume,source=parts,target=/x,volume-subpath=place"
    start = f"mctl run --rm --mount {part} {IMAGE} /bin/busybox ls /x"
    result = mctl.shell(f"seq {STARTS} | xargs -P 3 -I{{}} sh -c '{start} || echo refused' 2>/dev/null", timeout=200)
    mctl("rm", "-f", "swapper")
    mctl("volume", "rm", "parts")
    assert set(result.text.splitlines()) == {"mine", "refused"}, "seen outside, or the race was not run"


@pytest.mark.parametrize("target", ["/absolute", "/relative", "/absolute/made", "/relative/made/deep", "/new/deep"])
def test_a_target_behind_a_link_of_the_image_stays_inside(linked: Mctl, target: str) -> None:
    """Mount points are made inside the root or not at all (crun's issue 111)."""
    command = ["/bin/busybox", "cat", f"{target}/other"]
    result = linked.run(*command, options=["--rm", "-v", f"{OTHER}:{target}"], check=False)
    assert (result.returncode, result.stdout) in ((0, b"other\n"), (125, b""))


@pytest.mark.parametrize("target", ["/", "/proc", "/proc/self", "/sys", "/dev", "/proc/sys", "/magic/tmp", "/..",
                                    "relative"])  # fmt: skip
def test_what_a_target_may_not_be(linked: Mctl, target: str) -> None:
    """Over /proc a volume would lie to us at the next entry (CVE-2019-19921, CVE-2023-27561)."""
    result = linked.run("/bin/busybox", "true", options=["--rm", "-v", f"{OTHER}:{target}"], check=False)
    assert result.returncode == 125
    assert result.stderr


def test_a_volume_has_no_devices_and_no_set_user_ids(linked: Mctl) -> None:
    look = ("/bin/busybox", "grep", " /data ", "/proc/self/mountinfo")
    line = linked.run(*look, options=["--rm", "-v", f"{OTHER}:/data"])
    assert {"nosuid", "nodev"} <= set(line.text.split()[5].split(","))


@pytest.mark.parametrize("source", ["/etc/shadow", "/root", "/srv/alice-python/shadow", "/proc/1/root/root", "/etc"])
def test_a_user_shows_only_what_is_hers(linked: Mctl, source: str) -> None:
    """The service is root: it must not open for alice what she cannot open, nor give what is not hers."""
    linked.shell("ln -sfn /etc/shadow /srv/alice-python/shadow")
    options = ["--rm", "-v", f"{source}:/data"]
    command = ("/bin/busybox", "sh", "-c", "cat /data /data/*")
    result = linked.run(*command, options=options, rootfs="/srv/alice-python", user="alice", check=False)
    assert result.returncode == 125
    assert b"root:" not in result.stdout
    linked.shell("rm /srv/alice-python/shadow")
