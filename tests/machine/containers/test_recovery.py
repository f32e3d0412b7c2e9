# SPDX-License-Identifier: GPL-3.0-or-later
"""The service may die at any time; no container notices."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

TICKING = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done"
WAITING = "until [ -e /go ]; do sleep 0.1; done;"
KILLED = r"mctld\.service: (Failed with result 'signal'|Main process exited.*)"


def ticks_unbroken(mctl: Mctl, name: str) -> None:
    mctl.until(f"[ $(mctl logs {name} | wc -l) -gt 20 ]")
    lines = [int(line) for line in mctl("logs", name).text.split()]
    assert lines == list(range(len(lines)))


@pytest.mark.allow_journal(KILLED)
def test_containers_are_found_again(mctl: Mctl) -> None:
    names = ["a", "b", "c"]
    for name in names:
        mctl.run("sh", "-c", TICKING, options=["-d", "--name", name])
    before = {name: mctl.properties(name) for name in names}
    for name in names:
        ticks_unbroken(mctl, name)
    mctl.kill_service()
    assert {name: mctl.properties(name) for name in names} == before
    for name in names:
        mctl.until(f"[ $(mctl logs {name} | wc -l) -gt {10 + len(mctl('logs', name).text.split())} ]")
        ticks_unbroken(mctl, name)


@pytest.mark.allow_journal(KILLED)
def test_the_name_is_back_on_its_own(mctl: Mctl) -> None:
    mctl("ps")
    mctl.kill_service()
    deadline = time.monotonic() + 30
    while mctl.shell("busctl --no-pager list | grep -q '^org.mctl1 .* mctld '", check=False).returncode:
        assert time.monotonic() < deadline, "the bus name has not come back"
        time.sleep(0.05)


@pytest.mark.allow_journal("belongs to another process")
def test_a_second_service_changes_nothing(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "web"])
    before = mctl.service_pid()
    refused = mctl.shell("/usr/libexec/mctld 2>&1", check=False)
    assert (refused.returncode, "the name org.mctl1 belongs to another process" in refused.text) == (1, True)
    assert mctl("exec", "web", "echo", "still there").text == "still there\n"
    assert mctl.service_pid() == before
    mctl("rm", "-f", "web")


@pytest.mark.allow_journal(KILLED)
def test_an_end_after_the_restart_is_reported(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "sleep 2; exit 9", options=["-d", "--name", "later"])
    mctl.kill_service()
    answer = mctl.shell("busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s later").text
    assert answer.split() == ["si", '"exited"', "9"]


@pytest.mark.allow_journal(KILLED)
def test_an_end_while_the_service_was_down_is_reported(mctl: Mctl) -> None:
    mctl.run("sh", "-c", f"{WAITING} exit 9", options=["-d", "--name", "meanwhile"])
    pid = mctl.properties("meanwhile")["MainPID"]
    mctl.shell(f"systemctl stop mctld.service; touch /proc/{pid}/root/go")
    mctl.until(f"grep -q '^State:.Z' /proc/{pid}/status")
    found = mctl.properties("meanwhile")
    assert (found["State"], found["ExitHow"], found["ExitStatus"]) == ("exited", "exited", 9)


@pytest.mark.allow_journal(KILLED)
@pytest.mark.parametrize(("name", "end"), [("killed", "kill -9 {}"), ("restarted", "systemctl restart mctld.service")])
def test_attached_output_goes_on_into_the_journal(mctl: Mctl, name: str, end: str) -> None:
    script = "for i in $(seq 60); do echo $i; sleep 0.05; done; exit 4"
    command = f"(mctl run --name {name} {mctl.rootfs} sh -c '{script}'; echo status $?) > /tmp/watched &"
    mctl.shell(command)
    mctl.until("[ -s /tmp/watched ]")
    mctl.shell(end.format(mctl.service_pid()))
    mctl("wait", name, check=False)
    assert [int(e["MESSAGE"]) for e in mctl.journal(f"CONTAINER_NAME={name}")] == list(range(1, 61))
    mctl.until("grep -q status /tmp/watched")
    assert mctl.shell("tail -n 1 /tmp/watched; rm /tmp/watched").text == "status 4\n"


def test_an_upgrade_is_not_noticed(mctl: Mctl) -> None:
    mctl.run("sh", "-c", TICKING, options=["-d", "--name", "old"])
    pid, spawner = mctl.properties("old")["MainPID"], mctl.shell("systemctl show -P MainPID mctl-spawner").text
    for _ in range(3):
        mctl.shell("systemctl restart mctld.service")
    assert mctl.properties("old")["MainPID"] == pid
    assert mctl.shell("systemctl show -P MainPID mctl-spawner").text == spawner
    mctl("stop", "-t", "1", "old")
    ticks_unbroken(mctl, "old")


KILL_SPAWNER = "kill -9 $(systemctl show -P MainPID mctl-spawner.service)"
KEPT = "$(systemctl show -P NFileDescriptorStore mctld.service)"  # by PID 1


def kernel_tells(mctl: Mctl) -> bool:
    """Whether it tells how a process has ended to whoever has a descriptor of it: PIDFD_INFO_EXIT."""
    major, minor = mctl.shell("uname -r").text.split(".")[:2]
    return (int(major), int(minor)) >= (6, 15)


@pytest.mark.allow_journal(r"mctl-spawner\.service: .*", r"spawner", r"conclude .* failed")
def test_without_the_spawner_containers_go_on_and_how_they_end_is_the_kernels_to_say(mctl: Mctl) -> None:
    """Their exit status was the spawner's to keep; what cannot be known is not invented."""
    mctl.run("sleep", "1000", options=["-d", "--name", "orphan"])
    mctl.shell(f"{KILL_SPAWNER}; sleep 0.5")
    assert mctl.properties("orphan")["State"] == "running"
    mctl("stop", "-t", "0", "orphan")
    found = mctl.properties("orphan")
    assert (found["State"], found["ExitHow"]) == ("exited", "killed" if kernel_tells(mctl) else "unknown")
    mctl.run("true", options=["--rm"])


@pytest.mark.allow_journal(r"mctl-spawner\.service: .*", r"mctld\.service: .*", r"spawner", r"conclude .* failed")
@pytest.mark.parametrize("name", ["while", "after"])
def test_an_end_that_neither_the_service_nor_the_spawner_saw(mctl: Mctl, name: str) -> None:
    """PID 1 has kept a descriptor of the process; an older kernel has nothing to say, and so nobody has."""
    mctl.until(f"[ {KEPT} = 0 ]")
    late = "/run/systemd/system/mctld.service.d/late.conf"
    mctl.shell(f"mkdir -p {late[:-10]}; printf '[Service]\\nRestartSec=4s\\n' > {late}; systemctl daemon-reload")
    mctl.run("sh", "-c", f"{WAITING} exit 9", options=["-d", "--name", name])
    pid, service = mctl.properties(name)["MainPID"], mctl.service_pid()
    mctl.until(f"[ {KEPT} = 1 ]")  # it does so of what has run for a second
    mctl.shell(f"systemctl kill -s KILL mctld.service; {KILL_SPAWNER}")
    back = f"systemctl is-active mctld.service && [ $(systemctl show -P MainPID mctld.service) != {service} ]"
    for each in ("end", back) if name == "while" else (back, "end"):
        if each == "end":
            mctl.shell(f"touch /proc/{pid}/root/go")
            each = f"! [ -e /proc/{pid} ]"
        mctl.until(each)
    mctl.shell(f"rm {late}; systemctl daemon-reload")
    mctl.shell(f"busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s {name}")
    found = mctl.properties(name)
    assert (found["ExitHow"], found["ExitStatus"]) == (("exited", 9) if kernel_tells(mctl) else ("unknown", 0))
    (entry,) = mctl.journal("MESSAGE_ID=5cf9f2a3c8a64fd1a2a0ee34ba8aa9b1", f"MCTL_CONTAINER_NAME={name}")
    assert ("status 9" in entry["MESSAGE"]) is kernel_tells(mctl)


def test_what_a_payload_leaves_on_the_disk_can_always_be_removed(mctl: Mctl) -> None:
    """Deeper than Python recurses, and still there when the service starts anew."""
    script = "i=0; while [ $i -lt 1200 ]; do mkdir d; cd d; i=$((i+1)); done; exit 0"
    for _ in range(2):
        mctl.run("sh", "-c", script, options=["--name", "deep"])
        mctl("rm", "deep")
    mctl.shell("mkdir -p /var/lib/mctl/containers/left/upper; systemctl restart mctld.service")
    deadline = time.monotonic() + 20
    while found := mctl.shell("ls /var/lib/mctl/containers").text:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


@pytest.mark.allow_journal(r"could not store the state", r"database or disk is full", r"could not remove container")
def test_a_full_disk_loses_no_end(mctl: Mctl) -> None:
    """The service cannot write the end down, but tells it, and knows it after a restart."""
    mctl.run("sh", "-c", "sleep 2; exit 6", options=["-d", "--name", "six"])
    mctl.shell(f"prlimit --pid {mctl.service_pid()} --fsize=0:unlimited")
    try:
        wait = "busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s six"
        assert mctl.shell(wait).text.split() == ["si", '"exited"', "6"]
    finally:
        mctl.shell(f"prlimit --pid {mctl.service_pid()} --fsize=unlimited")
    assert any("could not store" in str(e["MESSAGE"]) for e in mctl.journal("_SYSTEMD_UNIT=mctld.service"))
    assert mctl.properties("six")["ExitStatus"] == 6
    mctl.shell("systemctl restart mctld.service")
    assert mctl.properties("six")["ExitStatus"] == 6


@pytest.mark.parametrize("before", ["true", "systemctl restart mctld.service", "systemctl stop mctld.service"])
def test_systemd_stops_it_with_its_own_signal(mctl: Mctl, before: str) -> None:
    """PID 1 asks us; where it has forgotten us, or we are not there, it sends the signal itself."""
    script = "trap 'echo asked; exit 3' USR1; trap 'exit 4' TERM; echo ready; while :; do sleep 0.1; done"
    mctl.run("sh", "-c", script, options=["-d", "--name", "asked", "--stop-signal", "USR1"])
    mctl.until("mctl logs asked | grep ready")
    mctl.shell(before)
    mctl.shell("systemctl stop mctl-asked.scope")
    found = mctl.properties("asked")
    assert (found["State"], found["ExitHow"], found["ExitStatus"]) == ("exited", "exited", 3)
    assert "asked" in mctl("logs", "asked").text


@pytest.mark.parametrize("before", ["true", "systemctl restart mctld.service"])
def test_systemd_waits_for_as_long_as_the_container_may_take(mctl: Mctl, before: str) -> None:
    script = "trap 'sleep 3; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    mctl.run("sh", "-c", script, options=["-d", "--name", "slow", "--stop-timeout", "20"])
    mctl.until("mctl logs slow | grep ready")
    mctl.shell(before)
    mctl.shell("systemctl stop mctl-slow.scope")
    assert (mctl.properties("slow")["ExitHow"], mctl.properties("slow")["ExitStatus"]) == ("exited", 5)


TAKE_PID = """
for try in $(seq 500); do
    echo $(({0} - 1)) > /proc/sys/kernel/ns_last_pid
    sleep 1000 < /dev/null > /dev/null 2>&1 &
    [ $! = {0} ] && echo $! > /sys/fs/cgroup/system.slice/cgroup.procs && exit 0
    kill $!
done
exit 1
"""


@pytest.mark.allow_journal(r"mctl-spawner\.service: .*", r"mctld\.service: .*", r"spawner", r"conclude .* failed")
def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(mctl: Mctl) -> None:
    """While nobody of us lived to hold it, the kernel gave it away (ns_last_pid, proc_sys_kernel(5))."""
    mctl.run("sleep", "1000", options=["-d", "--name", "web", "--restart", "no"])
    pid = mctl.properties("web")["MainPID"]
    mctl.shell("systemctl kill -s KILL mctl-spawner.service; systemctl stop mctl-spawner.socket mctl-spawner mctld")
    mctl.shell(f"kill -9 {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.05; done")
    mctl.shell(TAKE_PID.format(pid))
    mctl.shell("systemctl reset-failed; systemctl start mctl-spawner.socket")
    found = mctl.properties("web")
    assert (found["State"], found["MainPID"]) == ("exited", 0)
    assert mctl("kill", "web", check=False).returncode != 0
    mctl("rm", "-f", "web")
    mctl.shell(f"kill -0 {pid}; kill -9 {pid}")


def test_who_looks_after_containers_is_stopped_after_them(mctl: Mctl) -> None:
    """As by a shutdown: what PID 1 stops together it stops in the slices' order."""
    script = "trap 'sleep 2; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    mctl.run("sh", "-c", script, options=["-d", "--name", "orderly", "--stop-timeout", "60"])
    mctl.until("mctl logs orderly | grep ready")
    mctl.shell("systemctl stop mctl-u0.slice mctld.service")
    units = ("UNIT=mctl-orderly.scope", "+", "UNIT=mctld.service")
    words = ("mctl-orderly.scope: Deactivated", "Stopping mctld.service")
    told = [word for entry in mctl.journal(*units) for word in words if str(entry["MESSAGE"]).startswith(word)]
    assert told[-2:] == list(words)
    found = mctl.properties("orderly")
    assert (found["ExitHow"], found["ExitStatus"]) == ("exited", 7)
