# SPDX-License-Identifier: GPL-3.0-or-later
"""--restart, --health-..., restart, wait, and what ps says of it."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from mctl.commands.events import EVENTS
from mctl.creation import container_options
from mctl.failures import UsageError
from mctl.parser import find_verb, parse
from mctl.sizes import duration
from unit.cli.fake_service import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.cli.conftest import Result
    from unit.cli.fake_service import FakeService

    Mctl = Callable[..., Result]

SECOND = 1_000_000


def asked(*words: str) -> dict[str, tuple[str, Any]]:
    return container_options(parse(find_verb(["run", *words, "/", "sh"])), {})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--restart", "no"], {"RestartPolicy": ("s", "no")}),
        (["--restart=on-failure:3"], {"RestartPolicy": ("s", "on-failure:3")}),
        (["--health-cmd", "curl -f localhost"], {"HealthCommand": ("as", ["/bin/sh", "-c", "curl -f localhost"])}),
        (["--health-cmd", '["curl", "a b"]'], {"HealthCommand": ("as", ["curl", "a b"])}),
        (["--health-cmd", "NONE"], {"HealthCommand": ("as", [])}),
        (["--no-healthcheck"], {"HealthCommand": ("as", [])}),
        (["--health-interval", "1m30s"], {"HealthIntervalUSec": ("t", 90 * SECOND)}),
        (["--health-timeout=500ms"], {"HealthTimeoutUSec": ("t", 500_000)}),
        (["--health-retries", "5"], {"HealthRetries": ("u", 5)}),
        (["--health-start-period", "2"], {"HealthStartPeriodUSec": ("t", 2 * SECOND)}),
        (["--health-on-failure", "kill"], {"HealthOnFailure": ("s", "kill")}),
    ],
)
def test_options(words: list[str], expected: dict[str, Any]) -> None:
    found = asked(*words)
    del found["Command"]
    assert found == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--restart", "maybe"], "--restart 'maybe' is not known: give no, on-failure, always"),
        (["--restart", "always:2"], "--restart 'always:2' is not known"),
        (["--restart", "on-failure:x"], "--restart 'x' is not a whole number"),
        (["--rm", "--restart", "always"], "--rm and --restart always exclude each other"),
        (["--health-cmd", " "], "names no command"),
        (["--health-interval", "5 apples"], "--health-interval '5 apples' is not a time: give one as 30s"),
        (["--health-retries", "0"], "--health-retries 0 is out of range"),
        (["--health-on-failure", "reboot"], "--health-on-failure 'reboot' is not known: give none, kill"),
        (["--no-healthcheck", "--health-cmd", "true"], "exclude each other"),
    ],
)
def test_refusals(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        asked(*words)


def test_rm_goes_with_no_restart() -> None:
    assert asked("--rm", "--restart", "no")["AutoRemove"] == ("b", True)


@pytest.mark.parametrize(
    ("text", "value"),
    [("30", 30 * SECOND), ("0.5", 500_000), ("2h", 7_200 * SECOND), ("1h1m1s", 3_661 * SECOND), ("250us", 250)],
)
def test_durations(text: str, value: int) -> None:
    assert duration("--x", text) == value


@pytest.mark.parametrize("text", ["", "s", "1x", "-1s", "1s2", "1..5s", "９s", "99999999999999999999h", "1 s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        duration("--x", text)


def test_update_takes_a_policy_alone(mctl: Mctl, service: FakeService) -> None:
    service.add("web")
    assert mctl("update", "--restart", "always", "web").returncode == 0
    assert service.calls[-1][1:3] == ("Update", ({"RestartPolicy": ("s", "always")}, 0))


def test_restart(mctl: Mctl, service: FakeService) -> None:
    for name in ("web", "db"):
        service.add(name)
    assert mctl("restart", "-t", "2", "web", "db").stdout == b"web\ndb\n"
    assert [call[1:3] for call in service.calls] == [("Restart", ({"TimeoutUSec": ("t", 2 * SECOND)}, 0))] * 2


def test_wait_prints_statuses_in_order(mctl: Mctl, service: FakeService) -> None:
    for name, script in (("slow", "sleep 0.3; exit 7"), ("quick", "exit 0"), ("killed", "kill -9 $$")):
        assert mctl("run", "-d", "--name", name, "/", "sh", "-c", script).returncode == 0
    done = mctl("wait", "slow", "quick", "killed")
    assert (done.stdout, done.stderr, done.returncode) == (b"7\n0\n137\n", b"", 0)


def test_wait_in_json(mctl: Mctl, service: FakeService) -> None:
    for name, script in (("slow", "sleep 0.1; exit 7"), ("killed", "kill -9 $$")):
        assert mctl("run", "-d", "--name", name, "/", "sh", "-c", script).returncode == 0
    done = mctl("wait", "--json", "slow", "nope", "killed")
    assert json.loads(done.stdout) == [
        {"Name": "slow", "ExitHow": "exited", "ExitStatus": 7},
        {"Name": "killed", "ExitHow": "killed", "ExitStatus": 9},
    ]
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)


def test_wait_says_what_has_no_status(mctl: Mctl, service: FakeService) -> None:
    assert mctl("run", "-d", "--name", "lost", "/", "true").returncode == 0
    assert mctl("run", "-d", "--name", "found", "/", "false").returncode == 0
    service.containers["/org/mctl1/container/lost"].ended = ("unknown", 0)
    done = mctl("wait", "lost", "nope", "found")
    assert (done.stdout, done.returncode) == (b"1\n", 1)
    first, second = done.stderr.decode().splitlines()
    assert first == "mctl: lost: it has no exit status (unknown)"
    assert "nope" in second
    service.errors["WaitContainer"] = [Refused("org.freedesktop.DBus.Error.AccessDenied", "no")]
    assert mctl("wait", "found").returncode == 1
    assert mctl("wait").returncode == 125


@pytest.mark.parametrize("error", ["org.freedesktop.DBus.Error.NoReply", "org.mctl1.Error.Cancelled"])
def test_wait_goes_on_when_the_service_is_restarted(mctl: Mctl, service: FakeService, error: str) -> None:
    mctl("run", "-d", "--name", "slow", "/", "sh", "-c", "exit 4")
    service.errors["WaitContainer"] = [Refused(error)] * 2
    done = mctl("wait", "slow")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"4\n", b"")


EVENT = {
    "__REALTIME_TIMESTAMP": "1700000000000001", "__CURSOR": "x", "MCTL_EVENT": "exited", "MCTL_CONTAINER_NAME": "web",
    "MCTL_CONTAINER_ID": "abc", "MCTL_OWNER_UID": "1000", "MESSAGE": "Container web exited with status 0 after 1 s",
    "MCTL_EXIT_HOW": "exited", "MCTL_EXIT_STATUS": "0", "MCTL_LASTED_USEC": "1000000", "MCTL_WHY": "",
}  # fmt: skip


def test_events_as_lines_objects_and_templates(mctl: Mctl, service: FakeService) -> None:
    odd = {**EVENT, "MESSAGE": [27, 91, 255], "MCTL_EVENT": "started"}
    service.log = b"".join(json.dumps(event).encode() + b"\n" for event in (EVENT, odd))
    first, second = mctl("events").stdout.splitlines()
    assert first.endswith(b" Container web exited with status 0 after 1 s")
    assert re.match(rb"2023-11-1[45]T[0-9:]{8}\.000001[+-][0-9]{4} ", first)
    assert second.endswith(b"\x1b[\\xff")
    told = json.loads(mctl("events", "--json").stdout.splitlines()[0])
    assert told == {
        "Timestamp": 1_700_000_000_000_001, "Event": "exited", "Name": "web", "Id": "abc", "OwnerUID": 1000,
        "Message": EVENT["MESSAGE"], "ExitHow": "exited", "ExitStatus": 0, "LastedUSec": SECOND,
    }  # fmt: skip
    assert mctl("events", "--format", "{{.Event}} {{.Name}} [{{.Health}}]").stdout.splitlines()[0] == b"exited web []"


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], {"Follow": ("b", True), "Lines": ("t", 0)}),
        (["--since", "@5"], {"Follow": ("b", True), "Since": ("t", 5 * SECOND)}),
        (
            ["--until", "@7", "--since=@5"],
            {"Follow": ("b", False), "Since": ("t", 5 * SECOND), "Until": ("t", 7 * SECOND)},
        ),
        (["web", "db"], {"Follow": ("b", True), "Lines": ("t", 0), "Names": ("as", ["web", "db"])}),
        (["-f", "container=web", "--filter=type=container", "db"],
         {"Follow": ("b", True), "Lines": ("t", 0), "Names": ("as", ["db", "web"])}),
    ],
)
def test_events_are_new_ones_if_nothing_else_is_said(
    mctl: Mctl, service: FakeService, words: list[str], asked: object
) -> None:
    assert mctl("events", *words).returncode == 0
    assert service.calls[-1][1:3] == ("OpenEvents", (asked, 0))


def test_events_of_a_kind_in_dockers_words_too(mctl: Mctl, service: FakeService) -> None:
    service.log = b"".join(json.dumps({**EVENT, "MCTL_EVENT": kind}).encode() + b"\n" for kind in EVENTS)

    def kinds(*filters: str) -> list[str]:
        return mctl("events", "--format={{.Event}}", *filters).stdout.decode().split()

    assert kinds() == list(EVENTS)
    assert kinds("-f", "event=die") == kinds("--filter", "event=exited") == ["exited"]
    assert kinds("-f", "event=start", "-f", "event=health_status") == ["started", "health"]


def test_events_refuse(mctl: Mctl, service: FakeService) -> None:
    for words in (["--json", "--format", "x"], ["../x"], ["--since", "sometime"], ["-f", "event=oom"], ["-f", "x"]):
        assert mctl("events", *words).returncode == 125
    assert service.calls == []


def test_ps_shows_health_and_the_next_start(mctl: Mctl, service: FakeService) -> None:
    soon = int((time.time() + 30.9) * SECOND)
    service.add("well", State=("s", "running"), Health=("s", "healthy"), StartTimestamp=("t", 1))
    service.add("plain", State=("s", "running"), Health=("s", "none"), StartTimestamp=("t", 1))
    service.add("again", State=("s", "restarting"), RestartCount=("u", 3), NextStartTimestamp=("t", soon))
    lines = dict(line.split(maxsplit=1) for line in mctl("ps").stdout.decode().splitlines()[1:])
    assert "y (healthy)  " in lines["well"]
    assert "(" not in lines["plain"]
    assert "restarting (3) in 30 s" in lines["again"] or "restarting (3) in 29 s" in lines["again"]
