# SPDX-License-Identifier: GPL-3.0-or-later
"""What mctl stands on is killed or replaced while twenty containers are started: none is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

pytestmark = [pytest.mark.nspawn, pytest.mark.allow_journal(r".*")]  # whatever is said about having been killed

COUNT = 20
SCRIPT = "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; exec sleep 1000"
ANSWERS = "/home/alice/answers"
SCRIPT_FILE = "/srv/starts.sh"
STARTS = f"""
mkdir {ANSWERS}
for i in $(seq {COUNT}); do
    (mctl run -d --name many-$i --network none /srv/alice sh -c '{SCRIPT}' > /dev/null 2> {ANSWERS}/$i.text
    echo $? > {ANSWERS}/$i) &
done
wait
"""
BEGUN = f"until [ $(ls {ANSWERS} 2>/dev/null | grep -c -v text) -ge 3 ]; do sleep 0.02; done"
LINES = list("12345")
KILL_JOURNALD = "systemctl kill -s KILL systemd-journald.service"
ALL = [f"many-{number}" for number in range(1, COUNT + 1)]


def start_all(mctl: Mctl, event: str) -> dict[str, str]:
    """`event` happens when the third start has been answered. What did not succeed, and why."""
    mctl.machine.write(SCRIPT_FILE, STARTS)
    alice = "setpriv --reuid alice --regid alice --init-groups"
    mctl.shell(f"{alice} sh {SCRIPT_FILE} & {BEGUN}; {event}; wait", timeout=120)
    try:
        failed = [name for name in ALL if mctl.shell(f"cat {ANSWERS}/{name[5:]}").text != "0\n"]
        return {name: mctl.shell(f"cat {ANSWERS}/{name[5:]}.text").text for name in failed}
    finally:
        mctl.shell(f"rm -r {ANSWERS} {SCRIPT_FILE}")


def running(mctl: Mctl) -> set[str]:
    return {found["Name"] for found in json.loads(mctl("ps", "-a", "--json").text) if found["State"] == "running"}


def told(mctl: Mctl, name: str) -> list[str]:
    mctl.shell(f"i=0; until mctl logs {name} | grep -q 5; do i=$((i+1)); [ $i -lt 100 ] || exit 0; sleep 0.1; done")
    return mctl("logs", name).text.split()


@pytest.mark.parametrize(
    "event",
    [
        "systemctl daemon-reexec",
        *(
            pytest.param(event, marks=pytest.mark.siege)
            for event in (
                KILL_JOURNALD,
                "systemctl restart systemd-journald.service",
                "systemctl kill -s KILL polkit.service",
                "systemctl daemon-reload; systemctl daemon-reload",
            )
        ),
    ],
)
def test_all_are_started(mctl: Mctl, alice_may_create: None, event: str) -> None:
    assert start_all(mctl, event) == {}
    assert running(mctl) == set(ALL)
    lines = {name: told(mctl, name) for name in ALL}
    if event == KILL_JOURNALD:  # what it is just reading, of one stream, goes with it
        short = [name for name in ALL if lines[name] != LINES]
        assert len(short) <= 1, lines
        assert all(line in LINES for name in short for line in lines[name])
    else:
        assert lines == dict.fromkeys(ALL, LINES)


KILLER = """
import os, signal, sys

journald, more = int(sys.argv[1]), int(sys.argv[2])
descriptors = f"/proc/{journald}/fd"
wanted = len(os.listdir(descriptors)) + more
os.kill(journald, signal.SIGCONT)
while len(os.listdir(descriptors)) < wanted:
    pass
os.kill(journald, signal.SIGKILL)
"""
KILLER_FILE = "/srv/killer.py"
STREAMS = "grep -c /run/systemd/journal/stdout /proc/net/unix"
QUIET = f"""
mkdir {ANSWERS}
journald=$(systemctl show -P MainPID systemd-journald.service)
wanted=$(($({STREAMS}) + {COUNT}))
kill -STOP $journald
for i in $(seq {COUNT}); do
    mctl run -d --name many-$i --network none $1 sh -c 'until [ -e /go ]; do sleep 0.1; done; {SCRIPT}' \\
        > /dev/null 2> {ANSWERS}/$i.text &
done
until [ $({STREAMS}) -ge $wanted ]; do sleep 0.02; done
/usr/bin/python3 {KILLER_FILE} $journald $2
wait
for i in $(seq {COUNT}); do mctl exec many-$i touch /go; done
cat {ANSWERS}/*.text
rm -r {ANSWERS} {SCRIPT_FILE} {KILLER_FILE}
systemctl reset-failed systemd-journald.service
"""


@pytest.mark.siege
@pytest.mark.parametrize("accepted", [4, 8, 12])
def test_a_stream_is_no_payloads_before_it_outlives_journald(mctl: Mctl, accepted: int) -> None:
    """Many wait for a journald that is killed when it has taken some of their streams; nobody prints before that."""
    mctl.machine.write(SCRIPT_FILE, QUIET)
    mctl.machine.write(KILLER_FILE, KILLER)
    assert mctl.shell(f"sh {SCRIPT_FILE} {mctl.rootfs} {accepted}", timeout=120).text == ""
    assert running(mctl) == set(ALL)
    assert {name: told(mctl, name) for name in ALL} == dict.fromkeys(ALL, LINES)


@pytest.mark.siege  # how long dbus-daemon, logind and polkit need to find each other again is not ours
def test_without_the_bus_each_is_there_or_not(mctl: Mctl, alice_may_create: None) -> None:
    """Who has asked loses the connection, and with it perhaps the answer: nothing but that."""
    failed = start_all(mctl, "systemctl kill -s KILL dbus.service")
    found = running(mctl)
    assert found >= set(ALL) - set(failed)
    for text in failed.values():
        assert "no system bus" in text or "went away before it answered" in text
    for name in sorted(found):
        assert told(mctl, name) == LINES
    for name in sorted(set(ALL) - found):
        mctl("run", "-d", "--name", name, mctl.rootfs, "true")
