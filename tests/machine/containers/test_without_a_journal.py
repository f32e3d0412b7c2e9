# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that cannot reach the journal the usual way: journald is stopped with its sockets, or the process is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Mctl

STOP = "systemctl stop 'systemd-journald*.socket' systemd-journald.service"
SOCKETS = "systemd-journald.socket systemd-journald-dev-log.socket"
START = f"systemctl start {SOCKETS} systemd-journald.service systemd-journal-flush.service; journalctl --sync"
SCRIPT = "for i in 1 2 3 4 5; do until [ -e /go$i ]; do sleep 0.05; done; echo line $i; done; sleep 1000"
REMARKS = (
    r"mctld\.service: .*", "output waits for the journal", "the journal does not drain",
    "does not reach the journal any more", "ystemd-journald",
)  # fmt: skip


@pytest.fixture
def silence(busybox: Mctl) -> Iterator[Callable[[], None]]:
    """Ends with the test, at the latest."""
    def begin() -> None:
        busybox.shell(STOP)

    yield begin
    busybox.shell(START)


def prints(mctl: Mctl, name: str, number: int) -> None:
    mctl("exec", name, "touch", f"/go{number}")


def lines(mctl: Mctl, name: str) -> list[tuple[str, str]]:
    """With what journald has made of their process."""
    found = mctl.journal(f"_SYSTEMD_UNIT=mctl-{name}.scope")
    return [(str(entry.get("CONTAINER_NAME")), str(entry["MESSAGE"])) for entry in found]


@pytest.mark.allow_journal(*REMARKS)
def test_the_service_comes_back_and_the_lines_wait(busybox: Mctl, silence: Callable[[], None]) -> None:
    for name in ("waits", "ends"):
        busybox.run("sh", "-c", SCRIPT, rootfs="busybox", options=["-d", "--name", name, "--stop-timeout", "1"])
        prints(busybox, name, 1)
        busybox.until(f"mctl logs {name} | grep -q 'line 1'")
    silence()
    prints(busybox, "waits", 2)
    busybox.kill_service()
    assert len(busybox("ps", "-q", timeout=120).text.split()) == 2
    prints(busybox, "waits", 3)
    busybox("stop", "ends", timeout=120)
    assert busybox.properties("ends")["State"] == "exited"
    refused = busybox("start", "ends", check=False, timeout=120)
    assert (refused.returncode, b"connect the output to the journal" in refused.stderr) == (1, True)
    busybox("rm", "ends", timeout=120)
    busybox.shell(START)
    prints(busybox, "waits", 4)
    busybox.kill_service()
    prints(busybox, "waits", 5)
    busybox.until("mctl logs waits | grep -q 'line 5'")
    assert lines(busybox, "waits") == [("waits", f"line {number}") for number in range(1, 6)]


@pytest.mark.allow_journal(*REMARKS)
def test_who_ends_meanwhile_has_their_last_lines_kept(busybox: Mctl, silence: Callable[[], None]) -> None:
    busybox.run("sh", "-c", SCRIPT, rootfs="busybox", options=["-d", "--name", "last", "--stop-timeout", "1"])
    prints(busybox, "last", 1)
    busybox.until("mctl logs last | grep -q 'line 1'")
    silence()
    prints(busybox, "last", 2)
    busybox("stop", "last", timeout=120)
    busybox.shell(START)
    busybox.until("mctl logs last | grep -q 'line 2'")
    assert busybox("logs", "last").text == "line 1\nline 2\n"


@pytest.mark.parametrize(("name", "unit"), [("child", "mctl-child.scope"), ("service", "mctl@service.service")])
def test_last_lines_are_kept_whoever_is_the_parent(busybox: Mctl, name: str, unit: str) -> None:
    """Of a service PID 1 is, which has reaped the process before the service gets on."""
    options = ["--name", name, "--network", "none", "--label", "shift=late", "--label", "mctl.log-labels=shift"]
    script = "until [ -e /go ]; do sleep 0.05; done; seq 3000; printf end"
    busybox("create", *options, "busybox", "sh", "-c", script)
    busybox.shell(f"systemctl start {unit}" if "@" in unit else f"mctl start {name}")
    service, payload = busybox.service_pid(), busybox.properties(name)["MainPID"]
    gone = f"[ ! -e /proc/{payload} ] || grep -q '^State:.Z' /proc/{payload}/status"
    root = f"/proc/{payload}/root"
    busybox.shell(f"kill -STOP {service}; touch {root}/go; until {gone}; do sleep 0.05; done; kill -CONT {service}")
    busybox("wait", name, timeout=120)
    wanted = [str(number) for number in range(1, 3001)] + ["end"]
    assert busybox("logs", "-f", name, timeout=120).text.split() == wanted
    mine = busybox.properties(name)["Id"]  # other tests may have had one of that name
    found = busybox.journal(f"CONTAINER_ID={mine}", "CONTAINER_LABEL_SHIFT=late")
    assert [entry["MESSAGE"] for entry in found] == wanted
    assert [e["MESSAGE"] for e in busybox.journal("-u", unit) if e.get("CONTAINER_ID") == mine] == wanted
