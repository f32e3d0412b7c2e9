# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps all others from a container's output, by a file system that does not answer, keeps nobody else waiting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from machine import holding, unanswering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

FAR = "/srv/far-file"
COUNT = 'i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.2; done'
READERS = "$(cat /sys/fs/cgroup/system.slice/mctld.service/cgroup.procs)"
# The reader, or the service where it reads itself, sleeps until the lock is somebody else's.
HOLD = f"""
set -e
pipe=/proc/$(mctl inspect --format '{{{{.MainPID}}}}' held)/fd/1
kill -STOP {READERS}
systemd-run -q --collect --unit holder python3 /root/holding.py $pipe {FAR}
until [ -e {FAR}.asked ]; do sleep 0.05; done
kill -CONT {READERS}
"""


@pytest.fixture
def held(alice_may_import: Mctl) -> Iterator[Mctl]:
    """alice's containers `held`, whose output she keeps from everybody, and `other`."""
    mctl = alice_may_import
    mctl.machine.write("/root/unanswering.py", Path(unanswering.__file__).read_text())
    mctl.machine.write("/root/holding.py", Path(holding.__file__).read_text())
    server = f"systemd-run -q --collect --unit far python3 /root/unanswering.py {FAR} read"
    mctl.shell(f"touch {FAR}; {server}; until grep -q ' {FAR} ' /proc/self/mountinfo; do sleep 0.05; done")
    mctl("import", "--busybox", user="alice")
    mctl("run", "-d", "--name", "held", "busybox", "sleep", "1000", user="alice")
    mctl("run", "-d", "--name", "other", "busybox", "sh", "-c", COUNT, user="alice")
    mctl.shell(HOLD)
    yield mctl
    mctl.shell(f"systemctl stop far holder; umount -l {FAR}; rm {FAR} {FAR}.asked /root/*ing.py")


def lines(mctl: Mctl, name: str) -> list[str]:
    mine = f"CONTAINER_ID={mctl.properties(name)['Id']}"  # other tests may have had one of that name
    return [str(entry["MESSAGE"]) for entry in mctl.journal(mine, "_TRANSPORT=stdout")]


def goes_on(mctl: Mctl) -> None:
    """For others, and for her too."""
    mctl("ps", "-a", timeout=30)
    assert mctl("run", "--rm", "--network", "none", mctl.rootfs, "echo", "mine").text == "mine\n"
    since = len(lines(mctl, "other"))
    mctl.until(f"[ $(mctl logs other | wc -l) -gt {since + 3} ]")


@pytest.mark.allow_journal(r"^stdout of container held is not read while somebody ")
def test_who_keeps_all_others_from_a_pipe(held: Mctl) -> None:
    goes_on(held)
    held.until("journalctl -u mctld.service | grep 'stdout of container held is not read while'")
    held.shell("systemctl restart mctld.service", timeout=60)
    goes_on(held)
    held.shell("systemctl stop far")
    held.until("mctl logs held | grep -x held")
    printed = lines(held, "other")
    assert printed == [f"line {number}" for number in range(1, len(printed) + 1)]
    assert lines(held, "held") == ["held"]
