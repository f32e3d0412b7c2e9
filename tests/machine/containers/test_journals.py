# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals of owners: apart, bounded each by itself, and as safe from loss as the host's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

DROP_IN = "/etc/mctl/mctld.conf.d/50-test.conf"
SETTINGS = "[Journal alice]\nNamespacePerOwner=yes\nMaxUse=16M\nMaxRetentionSec=2week\n"
NAME = "mctl-1000"
UNIT = f"systemd-journald@{NAME}.service"
HERS = f"--namespace={NAME}"
KEPT = f"/var/log/journal/*.{NAME}"
ENDED = "MESSAGE_ID=5cf9f2a3c8a64fd1a2a0ee34ba8aa9b1"
LEFT = f"ls -d /run/systemd/journal.{NAME} /run/systemd/*{NAME}* /run/systemd/system/*{NAME}* 2>/dev/null"
LOADED = f"systemctl list-units --all --plain --no-legend '*{NAME}*'"
LINES = 150_000
RESTARTED = r"systemd-journald@mctl|mctld\.service: (Failed with result 'signal'|Main process exited.*)"


def set_to(mctl: Mctl, text: str) -> None:
    write = f"mkdir -p $(dirname {DROP_IN}); cat > {DROP_IN}; systemctl restart mctld"
    mctl.machine.run(["sh", "-c", write], input=text)


def until(mctl: Mctl, condition: str) -> None:
    """A condition of the shell's."""
    mctl.machine.run(["timeout", "120", "sh", "-c", f"until {condition}; do sleep 0.2; done"], timeout=130)


def ended(mctl: Mctl, name: str) -> None:
    mctl.shell(f"busctl --timeout=120 call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s {name}", timeout=130)


def entries(mctl: Mctl, *matches: str) -> list[dict[str, Any]]:
    """Of her journal alone, when it has taken in all."""
    mctl.shell(f"journalctl --sync; journalctl {HERS} --sync")
    shown = mctl.machine.run(["journalctl", HERS, "-q", "-a", "-o", "json", *matches], timeout=120)
    return [json.loads(line) for line in shown.text.splitlines()]


def gone(mctl: Mctl) -> None:
    """With the last container, some seconds later."""
    until(mctl, f'[ -z "$({LEFT}; {LOADED})" ]')


@pytest.fixture
def apart(mctl: Mctl, alice_may_create: None) -> Iterator[Mctl]:
    del alice_may_create
    set_to(mctl, SETTINGS)
    yield mctl
    names = mctl("ps", "-a", "-q").text.split()
    if names:
        mctl("rm", "-f", *names)
    gone(mctl)
    mctl.shell(f"rm -r /etc/mctl; rm -rf {KEPT}; systemctl restart mctld")


def hers(mctl: Mctl, script: str, *options: str) -> str:
    made = mctl("run", "--no-ask-password", *options, "/srv/alice", "sh", "-c", script, user="alice", timeout=120)
    return made.text


@pytest.mark.usefixtures("alice_may_create")
def test_off_there_is_one_journal(mctl: Mctl) -> None:
    hers(mctl, "echo here", "--name", "undivided")
    assert [entry["MESSAGE"] for entry in mctl.journal("CONTAINER_NAME=undivided")] == ["here"]
    assert mctl.shell(f"{LEFT}; {LOADED}; ls -d {KEPT} 2>/dev/null", check=False).text == ""


def test_lines_of_an_owner_are_apart_and_she_reads_them(apart: Mctl) -> None:
    identity = hers(apart, "echo out; echo err >&2; echo more", "-d", "--name", "alices").strip()
    ended(apart, "alices")
    apart.run("echo", "root's", options=["--name", "roots-own"])
    found = entries(apart, "CONTAINER_NAME=alices")
    assert sorted(entry["MESSAGE"] for entry in found) == ["err", "more", "out"]
    for field, value in {
        "_NAMESPACE": NAME, "CONTAINER_ID": identity, "CONTAINER_OWNER_UID": "1000",
        "_SYSTEMD_UNIT": "mctl-alices.scope",
    }.items():  # fmt: skip
        assert {entry.get(field) for entry in found} == {value}, field
    assert entries(apart, "CONTAINER_NAME=roots-own") == []
    assert apart.journal("CONTAINER_NAME=alices") == []  # of the host's
    assert [entry["MESSAGE"] for entry in apart.journal("CONTAINER_NAME=roots-own")] == ["root's"]
    (end,) = apart.journal(ENDED, "MCTL_CONTAINER_NAME=alices", f"MCTL_CONTAINER_ID={identity}")
    assert end["MCTL_EXIT_STATUS"] == "0"  # what the service has to tell

    shown = apart("logs", "-f", "alices", user="alice").text.splitlines()  # it ends: the log is complete
    assert sorted(shown) == ["err", "more", "out"]
    assert apart("logs", "--since", "1h", "--grep", "^mo", "alices", user="alice").text == "more\n"
    assert apart("logs", "-p", "notice", "alices", user="alice").text == "err\n"
    assert apart("logs", "--until", "1h", "alices", user="alice").text == ""
    assert apart("logs", "-n", "0", "alices", user="alice").text == ""
    started = apart("events", "--since", "1h", "--until", "now", "alices", user="alice").text
    assert "exited with status 0" in started


def test_who_follows_sees_what_comes(apart: Mctl) -> None:
    hers(apart, "until [ -e /go ]; do sleep 0.1; done; echo gone on", "-d", "--name", "followed")
    follow = "mctl logs -f followed"
    apart.shell(f"su alice -c '{follow}' > /tmp/followed & sleep 1; mctl exec followed touch /go; wait", timeout=120)
    assert apart.shell("cat /tmp/followed; rm /tmp/followed").text == "gone on\n"


def test_who_prints_much_pushes_out_only_their_own(apart: Mctl) -> None:
    apart.run("echo", "root's", options=["--name", "calm"])
    apart.shell("echo of the host | systemd-cat -t before-chatty")
    hers(apart, "echo begin; echo end", "-d", "--name", "pushed")
    ended(apart, "pushed")
    line = f'"number", i, "of lines that nobody needs, {"x" * 100}"'
    hers(apart, f"awk 'BEGIN {{ for (i = 1; i <= {LINES}; i++) print {line} }}'; echo last", "-d", "--name", "chatty")
    ended(apart, "chatty")
    kept = entries(apart, "CONTAINER_NAME=chatty")
    assert kept[-1]["MESSAGE"] == "last"
    assert 1_000 < len(kept) < LINES  # the oldest have gone
    numbers = [int(entry["MESSAGE"].split()[1]) for entry in kept[:-1]]
    assert numbers == list(range(numbers[0], LINES + 1))  # and nothing in between
    assert entries(apart, "CONTAINER_NAME=pushed") == []
    assert int(apart.shell(f"du -cm {KEPT} | tail -n 1 | cut -f 1").text) <= 24
    assert [entry["MESSAGE"] for entry in apart.journal("CONTAINER_NAME=calm")] == ["root's"]
    assert [entry["MESSAGE"] for entry in apart.journal("SYSLOG_IDENTIFIER=before-chatty")] == ["of the host"]


@pytest.mark.allow_journal(RESTARTED)
@pytest.mark.parametrize("way", ["-KILL", "-TERM", "restart"])
def test_no_line_is_lost_when_her_journald_or_the_service_ends(apart: Mctl, way: str) -> None:
    """Straight to the journal, and by mctld."""
    script = "for i in 1 2 3 4 5 6; do until [ -e /go$i ]; do sleep 0.05; done; echo line $i; done; sleep 1000"
    hers(apart, script, "-d", "--name", "direct")
    attached = "mctl run --no-ask-password --name passed /srv/alice sh /script"
    apart.machine.run(["sh", "-c", "cat > /srv/alice/script"], input=script)
    apart.shell(f"su alice -c '{attached}' > /dev/null 2>&1 < /dev/null &")
    until(apart, "mctl exec passed true 2>/dev/null")
    for number in range(1, 7):
        if number == 3:  # what the service has put into a stream that nobody has read yet goes with it
            until(apart, "mctl logs passed | grep -q 'line 2'")
        end = f"systemctl restart {UNIT}" if way == "restart" else f"kill {way} $(systemctl show -P MainPID {UNIT})"
        apart.shell(end)
        if number == 3:
            apart.kill_service()
        for name in ("direct", "passed"):
            apart("exec", name, "touch", f"/go{number}")
        until(apart, f"[ $(systemctl show -P MainPID {UNIT}) != 0 ]")
    for name in ("direct", "passed"):
        until(apart, f"mctl logs {name} | grep -q 'line 6'")
        assert apart("logs", name, user="alice").text.splitlines() == [f"line {number}" for number in range(1, 7)]
        assert {entry.get("CONTAINER_NAME") for entry in entries(apart, f"_SYSTEMD_UNIT=mctl-{name}.scope")} == {name}
    apart.shell("rm /srv/alice/script")


def test_a_change_of_the_settings_loses_nothing(apart: Mctl) -> None:
    hers(apart, "until [ -e /go ]; do sleep 0.1; done; echo second", "-d", "--name", "web")
    hers(apart, "echo first", "--name", "early")
    set_to(apart, SETTINGS.replace("16M", "32M"))
    until(apart, f"systemctl is-active -q {UNIT}")
    assert "SystemMaxUse=33554432" in apart.shell(f"cat /run/systemd/journald@{NAME}.conf.d/*").text
    set_to(apart, "")
    apart("exec", "web", "touch", "/go")
    ended(apart, "web")
    assert [entry["MESSAGE"] for entry in entries(apart, "CONTAINER_NAME=web")] == ["second"]  # where it began
    assert apart("logs", "early", user="alice").text == "first\n"
    apart("start", "early", user="alice")
    ended(apart, "early")
    assert [entry["MESSAGE"] for entry in apart.journal("CONTAINER_NAME=early")] == ["first"]
    assert apart("logs", "-f", "early", user="alice").text == "first\nfirst\n"


def test_it_goes_with_the_last_container_and_leaves_what_was_printed(apart: Mctl) -> None:
    hers(apart, "echo one", "--name", "one")
    hers(apart, "echo two", "--rm", "--name", "two")
    apart.shell(f"systemctl is-active {UNIT}")
    apart("rm", "one", user="alice")
    gone(apart)
    shown = apart.machine.run(["journalctl", HERS, "-q", "-o", "cat", "CONTAINER_OWNER_UID=1000"]).text
    assert sorted(shown.split()) == ["one", "two"]
    hers(apart, "echo three", "--name", "three")
    assert apart("logs", "three", user="alice").text == "three\n"


@pytest.mark.allow_journal(r"(mctld|mctl-spawner)\.service: .*", r"mctl@.*", r"the name server does not .*")
def test_a_shutdown_and_a_boot_lose_nothing(apart: Mctl) -> None:
    """It is stopped after those who print there, and is back before them. A client in the foreground, which is ended as
    well, passes its signal on: that is one more."""
    end = 'trap "" TERM; echo closing; sleep 2; echo closed; exit 0'
    script = f"trap '{end}' TERM; echo open; while :; do sleep 0.1; done"
    hers(apart, script, "-d", "--name", "direct", "--stop-timeout", "60", "--restart", "always")
    apart("create", "--name", "enabled", "--stop-timeout", "60", "/srv/alice", "sh", "-c", script, user="alice")
    apart("enable", "enabled", user="alice")
    apart("start", "enabled", user="alice")
    apart.machine.run(["sh", "-c", "cat > /srv/alice/script"], input=script)
    attached = "mctl run --no-ask-password --name passed --stop-timeout 60 /srv/alice sh /script"
    apart.shell(f"su alice -c '{attached}' > /dev/null 2>&1 < /dev/null &")
    for name in ("direct", "enabled", "passed"):
        until(apart, f"mctl logs {name} 2>/dev/null | grep -q open")
    apart.machine.reboot()  # type: ignore[attr-defined]
    for name in ("direct", "enabled"):
        until(apart, f"[ $(mctl logs {name} | grep -c open) = 2 ]")
        assert [entry["MESSAGE"] for entry in entries(apart, f"CONTAINER_NAME={name}")] == [
            "open", "closing", "closed", "open",
        ]  # fmt: skip
    assert apart("logs", "passed", user="alice").text.split() == ["open", "closing", "closed"]
    assert "closed" in apart.shell(f"journalctl {HERS} -q -o cat -u mctl@enabled").text
    apart("rm", "-f", "direct", "enabled", user="alice")
    apart.shell("rm /srv/alice/script")


def test_nobody_else_prints_there(apart: Mctl) -> None:
    hers(apart, "echo one", "--name", "one")
    modes = apart.shell(f"cd /run/systemd/journal.{NAME}; stat -c %a stdout socket dev-log io.systemd.journal").text
    assert modes.split() == ["600"] * 4


@pytest.mark.qemu  # its clock is its own
@pytest.mark.siege  # what else runs in the machine may take its time to get over it
@pytest.mark.allow_journal(r"[Tt]ime (jumped|stepped)|clock")
def test_lines_are_forgotten_after_their_time(apart: Mctl) -> None:
    set_to(apart, "[Journal alice]\nNamespacePerOwner=yes\nMaxRetentionSec=1h\n")
    apart.run("echo", "root's", options=["--name", "spared"])
    hers(apart, "echo old", "--name", "past")
    hers(apart, "until [ -e /go ]; do sleep 0.1; done; echo new", "-d", "--name", "present")
    apart.shell("date -s '+30 min'")
    try:
        hers(apart, "echo young", "--name", "between")
        assert [entry["MESSAGE"] for entry in entries(apart, "CONTAINER_OWNER_UID=1000")] == ["old", "young"]
        apart.shell("date -s '+45 min'")
        apart("exec", "present", "touch", "/go")
        ended(apart, "present")
        assert [entry["MESSAGE"] for entry in entries(apart, "CONTAINER_OWNER_UID=1000")] == ["young", "new"]
        assert [entry["MESSAGE"] for entry in apart.journal("CONTAINER_NAME=spared")] == ["root's"]
    finally:
        apart.shell("date -s '-75 min'")


@pytest.mark.allow_journal(r"User 1000: Its output goes to the host's journal: the namespace mctl-1000 cannot be had")
def test_without_the_unit_lines_go_to_the_hosts_journal(apart: Mctl) -> None:
    template = "systemd-journald@.service"
    apart.shell(f"systemctl mask --runtime {template}")
    try:
        hers(apart, "echo here; sleep 1000", "-d", "--name", "masked")
        (warning,) = apart.properties("masked")["Warnings"]
        assert warning.startswith(f"Its output goes to the host's journal: the namespace {NAME} cannot be had: ")
        until(apart, "mctl logs masked | grep -q here")
        assert [entry["MESSAGE"] for entry in apart.journal("CONTAINER_NAME=masked")] == ["here"]
        apart("rm", "-f", "masked", user="alice")
    finally:
        apart.shell(f"systemctl unmask --runtime {template}")
