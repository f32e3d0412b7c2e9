# SPDX-License-Identifier: GPL-3.0-or-later
"""A paused container stands still, and can be let go, stopped, killed and removed as any other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

COUNTING = "trap 'exit 5' TERM; while :; do echo >> /dev/shm/count; sleep 0.02; done"
WAIT = "busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s"
GROUP = "/sys/fs/cgroup/mctl.slice/mctl-u0.slice/mctl-ice.scope"


@pytest.fixture
def ice(mctl: Mctl) -> Mctl:
    """It hears its signal as soon as it counts."""
    mctl.run("sh", "-c", COUNTING, options=["-d", "--name", "ice"])
    mctl.until(f"[ -s /proc/{mctl.properties('ice')['MainPID']}/root/dev/shm/count ]")
    return mctl


def state(mctl: Mctl) -> str:
    return str(mctl.properties("ice")["State"])


def becomes(mctl: Mctl, wanted: str) -> None:
    deadline = time.monotonic() + 10
    while state(mctl) != wanted:
        assert time.monotonic() < deadline, state(mctl)
        time.sleep(0.05)


def count(mctl: Mctl) -> str:
    file = f"/proc/{mctl.properties('ice')['MainPID']}/root/dev/shm/count"
    return mctl.shell(f"stat -c %s {file} 2> /dev/null || echo none").text


def counts(mctl: Mctl, seconds: float = 20) -> bool:
    """Within that time."""
    before, deadline = count(mctl), time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if count(mctl) != before:
            return True
    return False


def test_it_stands_still_until_it_may_go_on(ice: Mctl) -> None:
    ice("pause", "ice")
    assert state(ice) == "paused"
    assert "frozen 1" in ice.shell(f"cat {GROUP}/cgroup.events").text
    assert ice.shell("systemctl show -P FreezerState mctl-ice.scope").text == "frozen\n"
    assert not counts(ice, 0.6)
    assert " paused " in ice("ps").text
    ice("unpause", "ice")
    assert state(ice) == "running"
    assert counts(ice)


def test_words_that_make_no_sense_are_refused(ice: Mctl) -> None:
    refused = ice("thaw", "ice", check=False)
    assert refused.returncode == 1
    assert "'ice' is not paused: it is running" in refused.stderr.decode()
    ice("freeze", "ice")
    refused = ice("freeze", "ice", check=False)
    assert refused.returncode == 1
    assert "'ice' is paused already" in refused.stderr.decode()
    for option in ([], ["-a"]):
        refused = ice("start", *option, "ice", check=False)
        assert "is paused already: `mctl unpause ice` lets it go on" in refused.stderr.decode()
    assert "is paused" in ice("exec", "ice", "true", check=False).stderr.decode()
    assert "stop it first" in ice("rm", "ice", check=False).stderr.decode()
    ice("rm", "-f", "ice")
    assert "'ice'" in ice("pause", "ice", check=False).stderr.decode()


def test_stop_lets_it_handle_its_signal(ice: Mctl) -> None:
    ice("pause", "ice")
    ice("stop", "-t", "30", "ice")
    found = ice.properties("ice")
    assert (found["State"], found["ExitHow"], found["ExitStatus"]) == ("exited", "exited", 5)
    ice("start", "ice")  # the name is free, and the new scope is not frozen
    assert state(ice) == "running"
    assert counts(ice)


def test_kill_ends_it_and_other_signals_wait(ice: Mctl) -> None:
    ice("pause", "ice")
    ice("kill", "-s", "TERM", "ice")
    time.sleep(0.2)
    assert state(ice) == "paused"
    ice("unpause", "ice")
    ice.shell(f"{WAIT} ice")
    assert ice.properties("ice")["ExitStatus"] == 5
    ice("start", "ice")
    ice("pause", "ice")
    ice("kill", "ice")
    ice.shell(f"{WAIT} ice")
    assert ice.properties("ice")["ExitHow"] == "killed"


def test_it_can_be_removed_and_its_name_used_again(ice: Mctl) -> None:
    for _ in range(3):
        ice("pause", "ice")
        ice("rm", "-f", "ice")
        ice.run("sh", "-c", COUNTING, options=["-d", "--name", "ice"])
        assert state(ice) == "running"


def test_an_administrators_freezing_shows(ice: Mctl) -> None:
    ice.shell("systemctl freeze mctl-ice.scope")
    becomes(ice, "paused")
    ice.shell("systemctl thaw mctl-ice.scope")
    becomes(ice, "running")
    ice.shell("systemctl freeze mctl-u0.slice")
    try:
        becomes(ice, "paused")
        asked = ice("unpause", "ice", check=False)  # systemd 252 freezes and thaws each unit of a slice by itself
        assert (asked.returncode, state(ice)) in ((1, "paused"), (0, "running"))
    finally:
        ice.shell("systemctl thaw mctl-u0.slice")
    becomes(ice, "running")


@pytest.mark.allow_journal(r"mctld\.service: .*")
def test_the_service_finds_it_paused_again(ice: Mctl) -> None:
    ice("pause", "ice")
    ice.shell("kill -9 $(systemctl show -P MainPID mctld.service)")
    becomes(ice, "paused")
    ice.shell("systemctl stop mctld.service; systemctl thaw mctl-ice.scope; systemctl start mctld.service")
    becomes(ice, "running")
    assert counts(ice)


def test_the_service_finds_out_that_somebody_froze_it(ice: Mctl) -> None:
    ice.shell("systemctl stop mctld.service; systemctl freeze mctl-ice.scope; systemctl start mctld.service")
    becomes(ice, "paused")
    ice("unpause", "ice")
    assert counts(ice)
    ice.run("true", options=["--rm"])


def test_its_owner_alone_may_freeze_it(mctl: Mctl, alice_may_create: None) -> None:
    mctl("run", "-d", "--name", "ice", "/srv/alice", "sleep", "1000", user="alice")
    refused = mctl("pause", "ice", user="bob", check=False)
    assert refused.returncode == 1
    assert "no container 'ice' of yours" in refused.stderr.decode()
    mctl("pause", "ice", user="alice")
    assert mctl.properties("ice")["State"] == "paused"
    assert mctl("unpause", "ice", user="bob", check=False).returncode == 1
    mctl("unpause", "ice", user="alice")


def test_limits_of_ones_own(mctl: Mctl, alice_may_create: None) -> None:
    """Whatever the host can enforce: taking a limit away needs no controller."""
    mctl("create", "--name", "ice", "/srv/alice", "true", user="alice")
    mctl("update", "--pids", "0", "ice", user="alice")
    assert mctl.properties("ice")["TasksMax"] is None
    refused = mctl("update", "--pids", "max", "ice", user="bob", check=False)
    assert refused.returncode == 1
    assert "changing the limits of other users' containers" in refused.stderr.decode()
    mctl.shell("systemctl restart mctld.service")
    assert mctl.properties("ice")["TasksMax"] is None
    mctl("start", "ice")
