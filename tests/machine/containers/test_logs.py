# SPDX-License-Identifier: GPL-3.0-or-later
"""No line is lost, and each says whose it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

LINES = 200_000


def ended(mctl: Mctl, name: str) -> None:
    mctl.shell(f"busctl --timeout=120 call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s {name}", timeout=130)


@pytest.fixture
def many_journals(mctl: Mctl) -> Iterator[None]:
    """More than journald keeps at most by itself, where each container's user has one: before systemd 253."""
    place = "/var/log/journal/$(cat /etc/machine-id)/user-40000000"
    version = mctl.shell("systemctl --version | awk 'NR == 1 { print $2 + 0 }'").text
    mctl.shell(f"[ {version.strip()} -ge 253 ] || for i in $(seq 10 130); do : > {place}$i.journal; done")
    yield
    mctl.shell(f"rm -f {place}*.journal")


@pytest.mark.usefixtures("many_journals")
@pytest.mark.parametrize("options", [["-d"], []])
def test_every_line_is_kept(mctl: Mctl, options: list[str]) -> None:
    name = f"chatty{len(options)}"
    result = mctl.run("seq", str(LINES), options=[*options, "--name", name], timeout=120)
    if not options:
        assert len(result.stdout.splitlines()) == LINES
    ended(mctl, name)
    mctl.shell("journalctl --sync")
    kept = mctl.shell(f"journalctl -q -o cat CONTAINER_NAME={name} _SYSTEMD_UNIT=mctl-{name}.scope", timeout=120)
    lines = [int(line) for line in kept.stdout.split()]
    files = mctl.shell("journalctl --header | grep -E '^(File|State|Head|Tail|Entry Obj)'; df -h /var /run").text
    assert lines == list(range(1, LINES + 1)), files


@pytest.mark.allow_journal(r"mctld\.service: (Failed with result 'signal'|Main process exited.*)")
def test_who_kills_the_service_loses_no_line_of_an_image(busybox: Mctl) -> None:
    """It passes through the service, which cannot hand it over while journald is busy: here until after the kill.

    A line may come in two pieces, and what was just being handed over twice.
    """
    count, filling = 600, "x" * 40_000  # more than the socket between them holds: 8 MiB
    script = f"i=0; while [ $i -lt {count} ]; do echo line $i {filling}; i=$((i+1)); done"
    busybox.run("sh", "-c", f"until [ -e /go ]; do sleep 0.1; done; {script}", rootfs="busybox",
                options=["-d", "--name", "chatty"])  # fmt: skip
    try:
        busybox.shell("systemctl kill -s STOP systemd-journald; sleep 0.2")
        busybox("exec", "chatty", "touch", "/go")
        busybox.shell("sleep 3")
        busybox.kill_service()
    finally:
        busybox.shell("systemctl kill -s CONT systemd-journald")
    ended(busybox, "chatty")
    busybox.shell("journalctl --sync")
    kept = busybox.shell("journalctl -q -a -o cat CONTAINER_NAME=chatty _SYSTEMD_UNIT=mctl-chatty.scope", timeout=120)
    joined = kept.text.replace("\n", "")
    assert [number for number in range(count) if f"line {number} {filling}" not in joined] == []


def test_lines_of_short_lived_processes_keep_their_fields(mctl: Mctl) -> None:
    script = "for i in $(seq 500); do /bin/busybox echo line $i; done"
    identity = mctl.run("sh", "-c", script, options=["-d", "--name", "brief"]).text.strip()
    ended(mctl, "brief")
    entries = mctl.journal("SYSLOG_IDENTIFIER=brief")
    assert len(entries) == 500
    assert {entry.get("CONTAINER_NAME") for entry in entries} == {"brief"}
    assert {entry.get("CONTAINER_ID") for entry in entries} == {identity}
    assert {entry.get("_SYSTEMD_UNIT") for entry in entries} == {"mctl-brief.scope"}
    assert {entry.get("CONTAINER_OWNER_UID") for entry in entries} == {"0"}


def test_no_payload_can_shout_emergency(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "echo '<0>fire'; echo '<0>help' >&2", options=["--name", "crier"])
    entries = {entry["MESSAGE"]: entry["PRIORITY"] for entry in mctl.journal("CONTAINER_NAME=crier")}
    assert entries == {"<0>fire": "6", "<0>help": "5"}


def test_attached_output_is_in_the_journal_too(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "echo out; echo err >&2", options=["--name", "both"])
    entries = mctl.journal("CONTAINER_NAME=both", "_SYSTEMD_UNIT=mctl-both.scope")
    assert sorted(entry["MESSAGE"] for entry in entries) == ["err", "out"]


def test_a_reader_who_leaves_takes_no_line_along(mctl: Mctl) -> None:
    script = "for i in $(seq 100); do echo $i; sleep 0.01; done"
    mctl.shell(f"mctl run --name left {mctl.rootfs} sh -c '{script}' | head -n 3")
    ended(mctl, "left")
    assert len(mctl.journal("CONTAINER_NAME=left")) == 100
    assert mctl.properties("left")["ExitStatus"] == 0


def test_a_reader_who_stalls_takes_no_line_along(mctl: Mctl) -> None:
    """The payload ends while its watcher does not read: the journal has it all, and the watcher gets it later."""
    script = "seq 20000 | head -c 60000"
    command = f"mctl run --name stalled {mctl.rootfs} sh -c '{script}' | (sleep 8; wc -c)"
    assert mctl.shell(command).text.split() == ["60000"]
    kept = sum(len(entry["MESSAGE"]) + 1 for entry in mctl.journal("CONTAINER_NAME=stalled"))
    assert kept in (60000, 60001)


def test_a_payload_may_open_its_output_anew(mctl: Mctl) -> None:
    assert mctl.run("sh", "-c", "echo again > /dev/stdout", options=["--rm"]).text == "again\n"


def test_logs_shows_the_last_lines_and_follows(mctl: Mctl) -> None:
    script = "seq 5; until [ -e /go ]; do sleep 0.1; done; seq 6 7; sleep 1000"
    mctl.run("sh", "-c", script, options=["-d", "--name", "talker"])
    mctl.until("mctl logs talker | grep -qx 5")
    assert mctl("logs", "--tail", "2", "talker").text.split() == ["4", "5"]
    follow(mctl, "talker")
    await_line(mctl, "talker", "5")
    mctl("exec", "talker", "touch", "/go")
    await_line(mctl, "talker", "7")
    mctl("rm", "-f", "talker")
    assert has_followed(mctl, "talker") == ["1", "2", "3", "4", "5", "6", "7"]


def test_a_log_is_of_one_container_only(mctl: Mctl) -> None:
    for text in ("first", "second"):
        mctl.run("echo", text, options=["--name", "same"])
        shown = mctl("logs", "same").text
        assert shown == f"{text}\n"
        mctl("rm", "same")


def test_a_forged_line_is_not_shown(mctl: Mctl) -> None:
    identity = mctl.run("sleep", "1000", options=["-d", "--name", "honest"]).text.strip()
    forged = f"printf 'MESSAGE=forged\\nCONTAINER_ID={identity}\\n' | logger --journald"
    mctl.machine.run(["sh", "-c", forged], user="alice")
    mctl.shell("journalctl --sync")
    assert mctl("logs", "honest").text == ""


def test_fields_are_withdrawn_after_the_end(mctl: Mctl) -> None:
    mctl.run("echo", "x", options=["--rm", "--name", "gone"])
    mctl.until("! ls /run/systemd/units | grep mctl-gone")


def test_the_end_is_one_entry_beside_the_lines(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "exit 7", options=["--name", "seven"], check=False)
    (entry,) = mctl.journal("MESSAGE_ID=5cf9f2a3c8a64fd1a2a0ee34ba8aa9b1", "MCTL_CONTAINER_NAME=seven")
    assert entry["MESSAGE"].startswith("Container seven exited with status 7")
    assert (entry["MCTL_EXIT_HOW"], entry["MCTL_EXIT_STATUS"]) == ("exited", "7")
    assert entry in mctl.journal("-u", "mctl-seven.scope")


def test_long_lines_are_whole(mctl: Mctl) -> None:
    script = "(head -c 200000 /dev/zero | tr '\\0' x; echo; echo short; head -c 60000 /dev/zero | tr '\\0' '\\001') >&2"
    mctl.run("sh", "-c", script, options=["-d", "--name", "long"])
    ended(mctl, "long")
    mctl.shell("journalctl --sync")
    assert mctl("logs", "long").stdout == b"x" * 200_000 + b"\nshort\n" + b"\x01" * 60_000 + b"\n"
    assert mctl("logs", "-o", "cat", "long").stdout.count(b"\n") > 3
    assert mctl("logs", "-p", "notice", "long").stdout.startswith(b"x" * 200_000)
    assert mctl("logs", "-p", "err", "long").stdout == b""
    assert mctl("logs", "-g", "^sh", "long").stdout == b"short\n"


def follow(mctl: Mctl, name: str, *options: str, user: str | None = None) -> None:
    """In the background, to /tmp/NAME.lines; its exit status comes to /tmp/NAME.status at the end."""
    words = " ".join(options)
    command = f"timeout 120 mctl logs -f {words} {name} > /tmp/{name}.lines; echo $? > /tmp/{name}.status"
    mctl.shell(f"rm -f /tmp/{name}.*")
    mctl.machine.run(["sh", "-c", f"({command}) > /dev/null 2>&1 &"], user=user)


def has_followed(mctl: Mctl, name: str) -> list[str]:
    """When the follower has ended by itself."""
    mctl.shell(f"for i in $(seq 500); do [ -s /tmp/{name}.status ] && break; sleep 0.2; done")
    told = mctl.shell(f"cat /tmp/{name}.status /tmp/{name}.lines; rm /tmp/{name}.*").text.split("\n")
    assert told[0] == "0"
    return told[1:-1]


def await_line(mctl: Mctl, name: str, line: str) -> None:
    mctl.shell(f"for i in $(seq 300); do grep -qx '{line}' /tmp/{name}.lines && exit; sleep 0.1; done; exit 1")


WAITER = "echo 0; while [ ! -e /go ]; do sleep 0.1; done; "


@pytest.mark.parametrize("options", [[], ["--rm"]])
def test_a_follower_ends_with_the_container_and_has_seen_all(mctl: Mctl, options: list[str]) -> None:
    """What is printed last comes in one go, right before the end; with --rm there is nobody left to be asked then."""
    mctl.run("sh", "-c", f"{WAITER} seq 20000", options=["-d", "--name", "finite", *options])
    follow(mctl, "finite")
    await_line(mctl, "finite", "0")
    mctl("exec", "finite", "touch", "/go")
    assert has_followed(mctl, "finite") == [str(number) for number in range(20_001)]


@pytest.mark.allow_journal(r"Container returning has been started again 3 times")
def test_a_follower_stays_while_the_container_comes_back(mctl: Mctl) -> None:
    script = "echo run; exit 3"
    mctl("create", "--name", "returning", "--restart", "on-failure:3", mctl.rootfs, "sh", "-c", script)
    follow(mctl, "returning")  # it has never run, so it has not ended
    mctl("start", "returning")
    assert has_followed(mctl, "returning") == ["run"] * 4


def test_a_follower_stays_over_a_restart_by_hand(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "echo up; trap 'echo down; exit' TERM; sleep 1000 & wait", options=["-d", "--name", "again"])
    follow(mctl, "again")
    await_line(mctl, "again", "up")
    mctl("restart", "again")
    mctl.shell("for i in $(seq 300); do [ $(grep -c up /tmp/again.lines) = 2 ] && exit; sleep 0.1; done; exit 1")
    mctl("stop", "again")
    assert has_followed(mctl, "again") == ["up", "down", "up", "down"]


def test_a_follower_of_what_has_ended_shows_it_and_ends(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "seq 5", options=["-d", "--name", "over"])
    ended(mctl, "over")
    future = ["--since", "@9999999999"]
    for options, shown in (([], 5), (["-n", "2"], 2), (["-n", "0"], 0), (["-p", "err"], 0), (future, 0)):
        assert len(mctl("logs", "-f", *options, "over").text.split()) == shown, options
    mctl.run("true", options=["--name", "mute"])
    assert mctl("logs", "-f", "mute").text == ""


FORMS = ("short", "short-full", "short-iso", "short-iso-precise", "short-precise", "short-monotonic", "short-unix")


def test_a_follower_sees_what_journalctl_prints(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "seq 3; echo bad >&2; printf 'a\\tb\\n'", options=["-d", "--name", "formed"])
    ended(mctl, "formed")
    mctl("logs", "-f", "formed")  # all is in the journal now
    for mode in ("cat", *FORMS, "with-unit", "export"):
        followed, printed = (mctl("logs", *options, "-o", mode, "formed").stdout for options in (["-f"], []))
        assert followed == printed.replace(b"+0000 ", b"+00:00 "), mode  # systemd 252 writes short-iso without a colon
    for mode in ("verbose", "json", "json-pretty", "json-sse", "json-seq"):  # the order of fields is any
        shown = [mctl("logs", *options, "-o", mode, "formed").stdout for options in ([], ["-f"])]
        assert len(shown[0]) > 1000
        assert sorted(shown[0]) == sorted(shown[1]), mode


RESTARTS = (
    "systemctl restart mctld.service",
    "systemctl kill -s KILL mctld.service",
    "systemctl restart systemd-journald.service",
)


@pytest.mark.allow_journal(r"mctld\.service: .*", r"the journal does not drain", r"systemd-journald")
@pytest.mark.parametrize("user", [None, "alice"])
def test_a_follower_sees_each_line_once(mctl: Mctl, alice_may_create: None, user: str | None) -> None:
    """Alice may not read the journal herself."""
    script = "for i in $(seq 200); do echo $i; sleep 0.05; done"
    rootfs = "/srv/alice" if user else mctl.rootfs
    mctl("run", "-d", "--name", "ticker", rootfs, "sh", "-c", script, user=user)
    follow(mctl, "ticker", user=user)
    for restart in RESTARTS:
        time.sleep(1.5)
        mctl.shell(restart)
    assert has_followed(mctl, "ticker") == [str(number) for number in range(1, 201)]


def test_chosen_labels_are_fields_of_each_line(mctl: Mctl) -> None:
    options = ["--label", "team=red", "--label", "secret=x", "--label", "mctl.log-labels=team"]
    mctl.run("echo", "hello", options=["--name", "labelled", *options])
    (entry,) = mctl.journal("CONTAINER_LABEL_TEAM=red")
    assert (entry["MESSAGE"], entry["CONTAINER_NAME"]) == ("hello", "labelled")
    assert "CONTAINER_LABEL_SECRET" not in entry
