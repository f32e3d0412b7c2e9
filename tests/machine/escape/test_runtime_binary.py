# SPDX-License-Identifier: GPL-3.0-or-later
"""CVE-2019-5736: a container that gets hold of the program that started it, which is the host's own Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import with_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.containers.conftest import Mctl

IMAGE = "/srv/hostile"
SUMS = "sha256sum /usr/bin/python3 $(dpkg -L mctl | grep -E '/libexec/|/bin/|[.]py$')"
# Runs as whatever Python the kernel takes for it; keeps that file open, becomes another program, then writes.
TRAP = """\
import os, sys, time
held = os.open("/proc/self/exe", os.O_RDONLY)
print("trap as the owner", os.fstat(held).st_uid, flush=True)
for _ in range(3):
    if os.fork():
        break
else:
    os._exit(0)
if os.getpid() == 1:
    os.execv("/bin/busybox", ["sleep", "1"])
for path in ("/proc/self/exe", f"/proc/self/fd/{held}", f"/proc/1/fd/{held}", "/proc/1/exe"):
    for _ in range(200):
        try:
            with open(path, "r+b", buffering=0) as file:
                file.write(b"#!/bin/sh\\ntouch /srv/pwned\\n")
            print("written", flush=True)
        except OSError:
            time.sleep(0.002)
"""
ENTRIES = ("/proc/self/exe", "/proc/1/exe", "/proc/self/task/1/exe", "/link", "/links", "/proc/self/root/bin/sh")


@pytest.fixture(scope="module")
def hostile(mctl: Mctl) -> Iterator[Mctl]:
    """An image whose entry points lead to the starting program, and whose Python library is a trap."""
    mctl.shell(f"cp -a {mctl.rootfs} {IMAGE}; ln -s /proc/self/exe {IMAGE}/link; ln -s link {IMAGE}/links")
    mctl.machine.write(f"{IMAGE}/script", f"#!/proc/self/exe -IBS\n{TRAP}", mode=0o755)
    mctl.machine.write(f"{IMAGE}/etc/ld.so.preload", "/trap.so\n")
    mctl.machine.write(f"{IMAGE}/trap.so", "no library at all\n", mode=0o755)
    before = mctl.shell(SUMS).text
    assert "/usr/bin/python3" in before
    assert "mctld/daemon.py" in before
    yield with_root(mctl.machine, IMAGE)
    assert mctl.shell(SUMS).text == before
    assert mctl.shell("ls /srv/pwned", check=False).text == ""
    mctl.shell(f"rm -r {IMAGE}")


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_magic_link_is_an_entry_point(hostile: Mctl, entry: str) -> None:
    result = hostile.run(entry, "-IBSc", "print('the host program')", options=["--rm"], check=False)
    assert result.returncode == 126
    assert result.stdout == b""


def test_a_script_run_by_the_starting_program_overwrites_nothing(hostile: Mctl) -> None:
    result = hostile.run("/script", options=["--rm"], check=False)
    assert b"written" not in result.stdout


def test_a_container_that_watches_for_the_starting_program_overwrites_nothing(hostile: Mctl) -> None:
    """The trap is tried as the image's own Python too: its own file is not the host's."""
    before = hostile.shell(f"sha256sum {IMAGE}/usr/bin/python3").text
    result = hostile.run("/usr/bin/python3", "-IBSc", TRAP, options=["--rm"], check=False)
    assert b"trap as the owner 0" in result.stdout
    assert hostile.shell(f"sha256sum {IMAGE}/usr/bin/python3").text == before
