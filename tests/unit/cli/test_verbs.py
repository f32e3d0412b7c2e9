# SPDX-License-Identifier: GPL-3.0-or-later
"""Each verb through the launcher, against a service on a private bus."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from unit.cli.conftest import LAUNCHER
from unit.cli.fake_service import Refused, is_interactive

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.cli.conftest import Result
    from unit.cli.fake_service import FakeService

    Mctl = Callable[..., Result]

RUNNING = ("s", "running")
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
PASSWORD = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"


def test_create(mctl: Mctl, service: FakeService) -> None:
    result = mctl("create", "--name", "web", "-m", "64m", "/", "sh", "-c", "x")
    assert (result.returncode, result.stdout) == (0, b"abc0".ljust(32, b"0") + b"\n")
    _path, member, body, flags = service.calls[0]
    assert (member, body[0], body[2], flags) == ("CreateContainer", "web", 0, 0)
    assert body[1]["MemoryMax"] == ("t", 64 << 20)
    assert body[1]["Command"] == ("as", ["sh", "-c", "x"])


@pytest.mark.parametrize("words", [["stop"], ["exec"], ["inspect"]])
def test_ids_are_looked_up_before_they_are_taken_for_names(mctl: Mctl, service: FakeService, words: list[str]) -> None:
    """Who may not see others' containers is refused at the path of a name that is none, and told nothing."""
    made = service.add("web", "abcd12")
    result = mctl(*words, "abcd12", *(["true"] if words == ["exec"] else []))
    assert result.returncode == 0, result.stderr
    path, member, *_ = service.calls[0]
    assert (path, member) == ("/org/mctl1", "GetContainer")
    assert {path for path, member, *_ in service.calls[1:]} <= {made.path, "/org/mctl1/exec/e1"}
    assert all(flags == 0 for *_, flags in service.calls)


@pytest.mark.parametrize(
    ("words", "member", "body"),
    [
        (["start"], "Start", (0,)),
        (["stop"], "Stop", ({}, 0)),
        (["stop", "-t", "2"], "Stop", ({"TimeoutUSec": ("t", 2_000_000)}, 0)),
        (["stop", "-f"], "Stop", ({"TimeoutUSec": ("t", 0)}, 0)),
        (["pause"], "Freeze", (0,)),
        (["freeze"], "Freeze", (0,)),
        (["unpause"], "Thaw", (0,)),
        (["thaw"], "Thaw", (0,)),
        (["enable"], "Enable", (0,)),
        (["disable"], "Disable", (0,)),
        (["update", "--pids", "9"], "Update", ({"TasksMax": ("t", 9)}, 0)),
        (["kill"], "Kill", (9, 0)),
        (["kill", "-s", "HUP"], "Kill", (1, 0)),
        (["kill", "-a", "--signal=15"], "Kill", (15, 1)),
        (["rm"], "Remove", (0,)),
        (["rm", "-f"], "Remove", (1,)),
    ],
)
def test_verbs_on_many(mctl: Mctl, service: FakeService, words: list[str], member: str, body: object) -> None:
    for name in ("web-1", "db"):
        service.add(name)
    result = mctl(*words, "web-1", "db", "web-1")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"web-1\ndb\n", b"")
    assert [call[:3] for call in service.calls] == [
        ("/org/mctl1/container/web_2d1", member, body),
        ("/org/mctl1/container/db", member, body),
    ]


@pytest.mark.parametrize("verb", ["start", "stop", "kill", "rm", "inspect", "logs"])
def test_no_name_is_refused(mctl: Mctl, service: FakeService, verb: str) -> None:
    result = mctl(verb)
    assert (result.returncode, service.calls) == (125, [])
    assert b"name" in result.stderr


def test_partial_failure_names_each(mctl: Mctl, service: FakeService) -> None:
    for name in ("a", "b", "c"):
        service.add(name)
    service.errors["Start"] = [Refused("org.mctl1.Error.AlreadyRunning", "it runs already")]
    result = mctl("start", "a", "b", "nope", "../x", "c")
    assert result.returncode == 1
    assert result.stdout == b"b\nc\n"
    first, second, third = result.stderr.decode().splitlines()
    assert first == "mctl: a: it runs already"
    assert "'nope'" in second
    assert "'../x'" in third


@pytest.mark.parametrize(
    ("verb", "error", "done", "undone"),
    [
        ("stop", "NotRunning", ("created", "exited", "unreadable"), ("starting",)),
        ("start", "AlreadyRunning", ("running",), ("paused", "stopping")),
    ],
)
def test_what_is_as_it_was_to_become_is_no_failure(
    mctl: Mctl, service: FakeService, verb: str, error: str, done: tuple[str, ...], undone: tuple[str, ...]
) -> None:
    """As with docker and podman, whose users stop and start without looking first."""
    for state in (*done, *undone):
        service.add(state, State=("s", state))
    refusals = [Refused(f"org.mctl1.Error.{error}", f"it is {state}") for state in (*done, *undone)]
    service.errors[verb.capitalize()] = refusals
    result = mctl(verb, *done, *undone)
    assert (result.returncode, result.stdout.decode().split()) == (1, list(done))
    assert result.stderr.decode().splitlines() == [f"mctl: {state}: it is {state}" for state in undone]


def test_other_verbs_and_other_errors_are_failures_in_every_state(mctl: Mctl, service: FakeService) -> None:
    service.add("web", State=("s", "exited"))
    for words, member, error in (
        (["kill"], "Kill", "NotRunning"), (["pause"], "Freeze", "NotRunning"), (["unpause"], "Thaw", "NotPaused"),
        (["start"], "Start", "NotRunning"), (["stop"], "Stop", "SetupFailed"), (["rm", "-f"], "Remove", "NotRunning"),
    ):  # fmt: skip
        service.errors[member] = [Refused(f"org.mctl1.Error.{error}", "it is not so")]
        result = mctl(*words, "web")
        assert (result.returncode, result.stdout, result.stderr) == (1, b"", b"mctl: web: it is not so\n"), words


def test_who_may_not_look_at_the_state_is_told_of_the_refusal(mctl: Mctl, service: FakeService) -> None:
    service.add("web", State=("s", "exited"))
    service.errors["Stop"] = [Refused("org.mctl1.Error.NotRunning", "it is exited")]
    service.errors["Get"] = [Refused(PASSWORD, "a password is needed")]
    result = mctl("stop", "web")
    assert (result.returncode, result.stderr) == (1, b"mctl: web: it is exited\n")


def test_only_a_forced_removal_may_find_nothing(mctl: Mctl, service: FakeService) -> None:
    service.add("web")
    result = mctl("rm", "-f", "nope", "abcd1234", "web")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"web\n", b"")
    for words in (["rm"], ["stop"], ["stop", "-f"], ["start"]):
        result = mctl(*words, "nope")
        assert (result.returncode, result.stdout) == (1, b""), words
        assert b"'nope'" in result.stderr
    for words, member, error in ((["rmi"], "GetImage", "NoSuchImage"), (["volume", "rm"], "GetVolume", "NoSuchVolume")):
        for force, status in (([], 1), (["-f"], 0)):
            service.errors[member] = [Refused(f"org.mctl1.Error.{error}", "there is no 'nope'")]
            result = mctl(*words, *force, "nope")
            assert (result.returncode, result.stdout, bool(result.stderr)) == (status, b"", bool(status)), words


def test_many_names(mctl: Mctl, service: FakeService) -> None:
    names = [f"n{i}" for i in range(50)]
    for name in names:
        service.add(name, f"{ord('f'):x}{len(service.containers):04x}")
    assert mctl("start", *names).stdout.decode().split() == names


def test_ids_stand_for_names(mctl: Mctl, service: FakeService) -> None:
    service.add("web", "0123abcd")
    for text in ("0123", "0123ABCD", "0123abcd".ljust(32, "0")):
        assert mctl("start", text).stdout.decode() == f"{text}\n"
    service.add("0123", "ffff")  # a name goes before an id
    assert mctl("inspect", "--format", "{{.Id}}", "0123").stdout.startswith(b"ffff")
    assert mctl("inspect", "--format", "{{.Name}}", "ffff").stdout == b"0123\n"


def test_inspect(mctl: Mctl, service: FakeService) -> None:
    service.add("web")
    service.add("db")
    text = mctl("inspect", "web", "db", "--pretty=false").stdout
    first, second = map(json.loads, text.splitlines())
    assert (first["Name"], second["Name"], first["MemoryMax"], first["TasksMax"]) == ("web", "db", None, 2048)
    assert mctl("inspect", "web").stdout.startswith(b'{\n  "Name": "web"')
    assert mctl("inspect", "web", "--json=short").stdout.count(b"\n") == 1
    assert mctl("inspect", "-f", "{{.MemoryMax}}", "web").stdout == b"infinity\n"


def test_inspect_of_what_is_not_there(mctl: Mctl, service: FakeService) -> None:
    service.add("web")
    result = mctl("inspect", "nope", "web")
    assert result.returncode == 1
    assert b"'nope'" in result.stderr
    assert json.loads(result.stdout)["Name"] == "web"


def test_inspect_of_whatever_has_that_name(mctl: Mctl, service: FakeService) -> None:
    service.add("web")
    service.others["/org/mctl1/volume/data"] = {"Name": ("s", "data"), "OwnerUID": ("u", 7)}
    service.others["/org/mctl1/network/back"] = {"Name": ("s", "back"), "Subnet": ("s", "10.90.0.0/24")}
    shown = mctl("inspect", "--pretty=false", "data", "web", "back").stdout.splitlines()
    assert [json.loads(line)["Name"] for line in shown] == ["data", "web", "back"]
    assert json.loads(mctl("inspect", "--type=volume", "data").stdout)["OwnerUID"] == 7
    assert b"no volume 'web'" in mctl("inspect", "--type", "volume", "web").stderr
    assert b"no container 'data'" in mctl("inspect", "--type", "container", "data").stderr
    assert b"there is no container, image, network or volume 'wbe'" in mctl("inspect", "wbe").stderr
    service.others["/org/mctl1/image/_31ab_2dc"] = {"Id": ("s", "sha256:1")}
    assert json.loads(mctl("inspect", "busybox").stdout) == {"Id": "sha256:1"}
    assert mctl("inspect", "--type", "pod", "web").returncode == 125


def test_inspect_asks_nobody_on_the_way(mctl: Mctl, service: FakeService) -> None:
    """To who may not see others' containers a name that is none looks like one of theirs."""
    service.others["/org/mctl1/volume/data"] = {"Name": ("s", "data")}
    service.errors["GetAll"] = [Refused("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired")] * 2
    service.errors["GetImage"] = [Refused(DENIED)]
    assert json.loads(mctl("inspect", "data").stdout)["Name"] == "data"
    assert not any(is_interactive(call[3]) for call in service.calls)


def test_an_image_is_called_in_errors_as_it_was_called(mctl: Mctl, service: FakeService) -> None:
    """The service, which must not tell whether there is one, knows an image by the id in its path only."""
    service.errors["Tag"] = [Refused(DENIED, "there is no image '1ab-c' of yours, and managing needs more")]
    result = mctl("tag", "busybox", "mine")
    assert (result.returncode, b"there is no image 'busybox' of yours, and" in result.stderr) == (1, True)
    assert b"/usr/share/doc/mctl/examples" in result.stderr
    assert [call[:3] for call in service.calls][1] == ("/org/mctl1/image/_31ab_2dc", "Tag", ("mine", 0))


def test_logs(mctl: Mctl, service: FakeService) -> None:
    service.add("web")
    service.log = b"one\n\x1b[31mtwo\xff\n"
    assert mctl("logs", "web").stdout == service.log
    assert service.calls[-1][2] == ({}, 0)
    mctl("logs", "-n", "5", "-t", "--since", "@1700000000", "--until", "@1700000001.5", "-p", "notice", "web")
    assert service.calls[-1][2][0] == {
        "Priority": ("u", 5),
        "Lines": ("t", 5),
        "Since": ("t", 1_700_000_000_000_000),
        "Until": ("t", 1_700_000_001_500_000),
        "Output": ("s", "short-iso-precise"),
    }
    mctl("logs", "--tail=all", "-o", "json", "web")
    assert service.calls[-1][2][0] == {"Output": ("s", "json")}


def entry(message: bytes, number: int, *more: str, stream: str = "1") -> bytes:
    """As journalctl -o export prints it."""
    fields = [f"__CURSOR=i={number}", "__REALTIME_TIMESTAMP=1700000000000001", f"_STREAM_ID={stream}", *more]
    size = len(message).to_bytes(8, "little")
    return "\n".join(fields).encode() + b"\nMESSAGE\n" + size + message + b"\n\n"


def test_logs_that_match(mctl: Mctl, service: FakeService) -> None:
    service.add("web")
    service.log = b"".join(entry(f"line {n}".encode(), n) for n in range(30))
    assert mctl("logs", "-g", "2[0-9]?$", "web").stdout.split(b"\n")[:3] == [b"line 2", b"line 12", b"line 20"]
    assert mctl("logs", "-g", "2.$", "-n", "2", "web").stdout == b"line 28\nline 29\n"
    assert "Lines" not in service.calls[-1][2][0]
    assert mctl("logs", "-g", "(", "web").returncode == 125
    assert mctl("logs", "-g", "x", "-o", "json", "web").returncode == 125
    assert mctl("logs", "-p", "loud", "web").returncode == 125


def on_terminal(service: FakeService, *words: str) -> bytes:
    """What a terminal gets to see."""
    keyboard, terminal = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": service.address}
    with subprocess.Popen([str(LAUNCHER), *words], stdin=terminal, stdout=terminal, env=environment) as process:
        process.wait(timeout=20)
        os.close(terminal)
        seen = b""
        try:
            while chunk := os.read(keyboard, 65536):
                seen += chunk
        except OSError:  # EIO is how a terminal ends
            pass
    os.close(keyboard)
    return seen


def test_logs_cannot_harm_a_terminal(service: FakeService) -> None:
    service.add("web")
    service.log = b"\x1b]0;title\x07\x9b2J ok\tyes\n"
    assert on_terminal(service, "logs", "web") == b"\\e]0;title\\x07\\x9b2J ok\tyes\r\n"
    assert b"\x1b]0;title\x07" in on_terminal(service, "logs", "--raw", "web")


def test_terminal_as_input_is_passed_through_a_pipe(service: FakeService) -> None:
    assert on_terminal(service, "run", "-i", "/", "sh", "-c", "test -t 0 || echo piped") == b"piped\r\n"


def test_templates_cannot_harm_a_terminal(service: FakeService) -> None:
    service.add("web", Hostname=("s", "\x1b[2J"))
    assert on_terminal(service, "inspect", "-f", "{{.Hostname}}", "web") == b"\\e[2J\r\n"


def test_password_is_asked_for_only_when_needed(mctl: Mctl, service: FakeService) -> None:
    service.add("web")
    service.errors["Start"] = [Refused(PASSWORD)]
    assert mctl("start", "web").returncode == 0
    assert [is_interactive(call[3]) for call in service.calls] == [False, True]


@pytest.mark.parametrize("words", [["--no-ask-password", "start", "web"], ["start", "web", "--no-ask-password"]])
def test_password_is_not_asked_for(mctl: Mctl, service: FakeService, words: list[str]) -> None:
    service.add("web")
    service.errors["Start"] = [Refused(PASSWORD)]
    result = mctl(*words)
    assert result.returncode == 1
    assert b"needs a password" in result.stderr
    assert len(service.calls) == 1


def test_denied_after_the_question(mctl: Mctl, service: FakeService) -> None:
    service.add("web")
    service.errors["Start"] = [Refused(PASSWORD), Refused(DENIED, "no")]
    result = mctl("start", "web")
    assert result.returncode == 1
    assert b"not allowed: no" in result.stderr


def test_error_text_cannot_harm_a_terminal(mctl: Mctl, service: FakeService) -> None:
    service.errors["ListContainers"] = [Refused("org.mctl1.Error.Failed", "bad\x1b[2J\nmctl: all is well")]
    result = mctl("ps")
    assert result.stderr.count(b"\n") == 1
    assert b"\x1b" not in result.stderr


def test_without_a_service(mctl: Mctl) -> None:
    result = mctl("ps")
    assert result.returncode == 1
    assert b"mctl check" in result.stderr


@pytest.mark.parametrize("address", ["unix:path=/nonexistent", "tcp:host=localhost", "nonsense", "unix:path"])
def test_without_a_bus(mctl: Mctl, address: str) -> None:
    for words, status in ((("ps",), 1), (("run", "/", "true"), 125)):
        result = mctl(*words, DBUS_SYSTEM_BUS_ADDRESS=address)
        assert result.returncode == status
        assert result.stderr.startswith(b"mctl: ")
        assert result.stderr.count(b"\n") == 1


def test_words_that_are_not_utf8(environment: dict[str, str], service: FakeService) -> None:
    words = [os.fsencode(LAUNCHER), b"run", b"/", b"echo", b"\xff"]
    result = subprocess.run(words, capture_output=True, env=environment, timeout=20, check=False)
    assert result.returncode == 125
    assert b"UTF-8" in result.stderr


def test_output_that_nobody_reads(service: FakeService) -> None:
    environment = {"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": service.address}
    reading, writing = os.pipe()
    os.close(reading)
    assert subprocess.run([LAUNCHER, "ps"], stdout=writing, env=environment, timeout=20, check=False).returncode == 141
    os.close(writing)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [LAUNCHER, "ps"], stdout=full, stderr=subprocess.PIPE, env=environment, timeout=20, check=False
        )
    assert done.returncode == 1
    assert b"No space left" in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors(
    mctl: Mctl, service: FakeService, environment: dict[str, str], closed: str
) -> None:
    script = f'exec "$0" run / sh -c "echo out; echo err >&2" {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", script, LAUNCHER], env=environment, capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 0
