# SPDX-License-Identifier: GPL-3.0-or-later
"""containerd with mctl-oci in place of runc: `ctr run --runc-binary`, by hand-made cgroups and by systemd's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .machine import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.guest import Result

    from .machine import Engines

NAME = "docker.io/library/busybox:latest"
# ctr asks for 1024 shares of the processors by itself, and these machines have no such controller.
OURS = ("--runc-binary", "/usr/bin/mctl-oci", "--cpu-shares", "0")
AS_SCOPE = ("--runc-systemd-cgroup", "--cgroup", "system.slice:ctr:one")


class Ctr:
    def __init__(self, machine: Engines) -> None:
        self.machine = machine

    def __call__(self, *words: str, check: bool = True) -> Result:
        return self.machine.run(["ctr", *words], check=check)

    def status(self, name: str) -> str:
        rows = [line.split() for line in self("task", "ls").text.splitlines()]
        return next((row[2] for row in rows if row[0] == name), "")

    def becomes(self, wanted: str, name: str) -> None:
        script = 'for i in $(seq 200); do ctr task ls | grep -q "^$0 .* $1" && exit; sleep 0.1; done; exit 1'
        self.machine.run(["sh", "-c", script, name, wanted])


@pytest.fixture
def ctr(clean: Engines) -> Iterator[Ctr]:
    clean.run(["systemctl", "start", "containerd.service"])
    made = Ctr(clean)
    if NAME not in made("image", "ls", "-q").text:
        made("image", "import", "--index-name", NAME, IMAGE)
    yield made
    clean.run(["systemctl", "stop", "containerd.service"])


@pytest.mark.parametrize(
    ("options", "group"),
    [((), "0::/default/one"), (AS_SCOPE, "0::/system.slice/ctr-one.scope")],
    ids=["by-hand", "scope"],
)
def test_run(ctr: Ctr, options: tuple[str, ...], group: str) -> None:
    script = "id -u; grep ^0:: /proc/self/cgroup; exit 5"
    done = ctr("run", "--rm", *OURS, *options, NAME, "one", "sh", "-c", script, check=False)
    assert (done.returncode, done.text.split()) == (5, ["0", group])


def test_from_start_to_end(ctr: Ctr) -> None:
    ctr("run", "-d", *OURS, NAME, "one", "sleep", "1000")
    assert ctr.status("one") == "RUNNING"
    assert ctr("task", "exec", "--exec-id", "more", "one", "sh", "-c", "exit 4", check=False).returncode == 4
    ctr("task", "pause", "one")
    assert ctr.status("one") == "PAUSED"
    ctr("task", "resume", "one")
    assert len(ctr("task", "ps", "one").text.splitlines()) == 2
    ctr("task", "kill", "-s", "KILL", "one")
    ctr.becomes("STOPPED", "one")
    ctr("task", "rm", "one", check=False)  # its status is the task's, 137
    ctr("container", "rm", "one")


def test_what_cannot_be_made_leaves_nothing(ctr: Ctr) -> None:
    """The cgroup is made before the limit is refused; it was left once."""
    done = ctr("run", "--rm", "--runc-binary", "/usr/bin/mctl-oci", NAME, "one", "true", check=False)
    assert b"cpu.weight" in done.stderr
    assert ctr.machine.run(["find", "/sys/fs/cgroup", "-name", "one"]).text == ""
