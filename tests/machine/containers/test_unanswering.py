# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system that does not answer, as NFS whose server is gone, holds up nobody but those whose files it has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from machine import unanswering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

SCRIPT = Path(unanswering.__file__).read_text()
PLACE = "/srv/far"
WAITING = 8  # more than a user has threads, and than asyncio has of its own on a small host


@pytest.fixture
def far(mctl: Mctl) -> Iterator[Mctl]:
    mctl.machine.write("/root/unanswering.py", SCRIPT)
    yield mctl
    mctl.shell(f"systemctl stop far; umount -l {PLACE}; rm -r {PLACE} /root/unanswering.py")


def begin(mctl: Mctl, what: str) -> None:
    server = f"systemd-run -q --collect --unit far python3 /root/unanswering.py {PLACE} {what}"
    mctl.shell(f"mkdir -p {PLACE}; {server}; until grep -q ' {PLACE} ' /proc/self/mountinfo; do sleep 0.05; done")


def waiting(mctl: Mctl, argv: str, who: str) -> None:
    """`WAITING` calls that are not answered: the service has begun with as many as it does at a time."""
    each = f"systemd-run -q --collect --uid {who} --unit far-$i mctl {argv}-$i"
    mctl.shell(f"for i in $(seq {WAITING}); do {each}; done; sleep 1; systemctl is-active far-1 far-{WAITING}")


def goes_on(mctl: Mctl, user: str | None, rootfs: str) -> None:
    for _ in range(3):
        mctl("run", "--rm", "--network", "none", rootfs, "true", user=user, timeout=30)
    mctl("ps", "-a", timeout=30)


def over(mctl: Mctl) -> None:
    """What waits for an answer gets an error."""
    units = " ".join(f"far-{number}" for number in range(1, WAITING + 1))
    mctl.shell(f"systemctl stop far; for i in {units}; do while systemctl -q is-active $i; do sleep 0.1; done; done")


def test_files_of_alice_that_cannot_be_reached(far: Mctl, alice_may_create: None) -> None:
    far.shell(f"mkdir -p {PLACE}; cp -a /srv/alice {PLACE}/root")
    for number in range(1, WAITING + 1):
        far("create", "--name", f"far-{number}", f"{PLACE}/root", "true", user="alice")
    begin(far, "nothing")
    waiting(far, "start far", "alice")
    goes_on(far, None, far.rootfs)
    over(far)
    far.shell(f"umount -l {PLACE}")
    far("start", "far-1", user="alice", timeout=30)  # what hung has left nothing that is in the way


def test_a_layer_that_cannot_be_asked(far: Mctl, alice_may_create: None) -> None:
    """With the host's ids, what lies far away is laid into the overlay itself, which asks it."""
    begin(far, "statfs")
    for number in range(1, WAITING + 1):
        far("create", "--userns", "host", "--name", f"far-{number}", PLACE, "true")
    waiting(far, "start far", "root")
    goes_on(far, "alice", "/srv/alice")
    over(far)
