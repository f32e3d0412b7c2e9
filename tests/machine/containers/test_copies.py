# SPDX-License-Identifier: GPL-3.0-or-later
"""A root directory on a file system without idmapped mounts: copied, and said so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

DIRECTORY = "/opt/without-idmap"  # on the overlay that the machine itself lives on


@pytest.fixture
def overlaid(mctl: Mctl) -> Iterator[str]:
    mctl.shell(f"cp -a /srv/root {DIRECTORY} && chmod 4755 {DIRECTORY}/bin/busybox")
    yield DIRECTORY
    mctl.shell(f"rm -rf {DIRECTORY}")


@pytest.mark.nspawn
def test_it_is_copied_once_and_the_user_is_told(mctl: Mctl, overlaid: str) -> None:
    result = mctl.run("stat", "-c", "%u:%a", "/bin/busybox", rootfs=overlaid, options=["--name", "copied"])
    assert result.text == "0:4755\n"
    assert "offers no idmapped mounts, so the directory was copied" in result.stderr.decode()
    assert overlaid in mctl.properties("copied")["Warnings"][0]
    stamp = "stat -c %Z /var/lib/mctl/containers/*/copy"
    before = mctl.shell(stamp).text
    mctl("start", "copied")
    mctl.shell("busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s copied")
    assert mctl.shell(stamp).text == before
    mctl("rm", "copied")


@pytest.mark.nspawn
def test_nobody_but_root_reaches_the_copy(mctl: Mctl, overlaid: str) -> None:
    mctl.run("true", rootfs=overlaid, options=["--name", "hidden", "-q"])
    found = mctl.machine.run(["sh", "-c", "ls /var/lib/mctl/containers/*/copy/bin"], user="alice", check=False)
    assert found.returncode != 0


GONE = 'for i in $(seq 300); do [ -z "$(ls /run/small)" ] && break; sleep 0.1; done; ls /run/small'


@pytest.mark.nspawn
def test_a_full_disk_leaves_no_part_of_a_copy(mctl: Mctl, overlaid: str) -> None:
    mctl.shell("mkdir /run/small && mount -t tmpfs -o size=200k,mode=700 small /run/small")
    mctl.shell("mount --bind /run/small /var/lib/mctl/containers")
    try:
        result = mctl.run("true", rootfs=overlaid, options=["--rm"], check=False)
        left = mctl.shell(GONE).text
    finally:
        mctl.until("umount /var/lib/mctl/containers")  # a reader keeps what was printed into for some seconds
        mctl.shell("umount /run/small && rmdir /run/small")
    assert result.returncode == 125
    assert "could not copy the root directory" in result.stderr.decode()
    assert left == ""


@pytest.mark.nspawn
def test_a_volume_is_not_copied_but_refused(mctl: Mctl, overlaid: str) -> None:
    result = mctl.run("true", options=["--rm", "-v", f"{overlaid}:/data"], check=False)
    assert result.returncode == 125
    assert overlaid in result.stderr.decode()
    assert "does not offer idmapped mounts" in result.stderr.decode()
