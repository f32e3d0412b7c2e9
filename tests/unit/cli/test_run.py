# SPDX-License-Identifier: GPL-3.0-or-later
"""`mctl run` whole: the launcher, a bus, and a service that runs processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from unit.cli.conftest import LAUNCHER
from unit.cli.fake_service import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unit.cli.conftest import Result
    from unit.cli.fake_service import FakeService

    Mctl = Callable[..., Result]

BINARY = bytes(range(256)) * 3000 + b"no line end"


@pytest.mark.parametrize("status", [0, 1, 7, 125, 126, 127, 255])
def test_exit_code_is_the_commands(mctl: Mctl, service: FakeService, status: int) -> None:
    result = mctl("run", "--rm", "/", "/bin/sh", "-c", f"exit {status}")
    assert (result.returncode, result.stdout, result.stderr) == (status, b"", b"")
    assert service.calls[0][2][1]["AutoRemove"] == ("b", True)


def test_killed_is_128_and_the_signal(mctl: Mctl, service: FakeService) -> None:
    assert mctl("run", "/", "/bin/sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_output_is_raw(mctl: Mctl, service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(BINARY)
    result = mctl("run", "/", "/bin/sh", "-c", f"cat {tmp_path}/data; echo failed >&2")
    assert result.stdout == BINARY
    assert result.stderr == b"failed\n"


def test_output_that_comes_after_the_end_is_waited_for(mctl: Mctl, service: FakeService) -> None:
    service.late = 0.3
    result = mctl("run", "/", "/bin/sh", "-c", "echo out; echo err >&2; exit 3")
    assert (result.returncode, result.stdout, result.stderr) == (3, b"out\n", b"err\n")


def test_output_closed_early_does_not_end_the_run(mctl: Mctl, service: FakeService) -> None:
    result = mctl("run", "/", "/bin/sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 9")
    assert result.returncode == 9


def test_stdin_goes_in_with_i_only(mctl: Mctl, service: FakeService) -> None:
    assert mctl("run", "-i", "/", "cat", stdin=BINARY).stdout == BINARY
    assert mctl("run", "--name", "b", "/", "cat", stdin=BINARY).stdout == b""


def test_everything_after_rootfs_is_the_commands(mctl: Mctl, service: FakeService) -> None:
    assert mctl("run", "--", "/", "echo", "--rm", "-d", "--", "-x").stdout == b"--rm -d -- -x\n"


def test_detached_prints_the_id(mctl: Mctl, service: FakeService) -> None:
    result = mctl("run", "-d", "--name", "web", "/", "true")
    assert (result.returncode, result.stdout) == (0, b"abc0".ljust(32, b"0") + b"\n")
    assert service.calls[0][2][2] == 0
    assert [call[1] for call in service.calls] == ["RunContainer"]


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ("org.mctl1.Error.CommandNotFound", 127, b"nope"),
        ("org.mctl1.Error.CommandNotExecutable", 126, b"nope"),
        ("org.mctl1.Error.NameTaken", 125, b"nope"),
        ("org.freedesktop.DBus.Error.AccessDenied", 125, b"polkit"),
        ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", 125, b"password"),
    ],
)
def test_refusals(mctl: Mctl, service: FakeService, error: str, status: int, words: bytes) -> None:
    service.errors["RunContainer"] = [Refused(error, "nope"), Refused(error, "nope")]
    result = mctl("run", "/", "true")
    assert result.returncode == status
    assert words in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_oom_is_named(service: FakeService, tmp_path: Path) -> None:
    go = tmp_path / "go"
    process = start(service, f"until [ -e {go} ]; do sleep 0.05; done")
    container = wait_for_container(service)
    container.ended = ("oom", 9)
    go.touch()
    _out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + 9
    assert b"memory" in err


def start(service: FakeService, script: str, *options: str) -> subprocess.Popen[bytes]:
    words = [str(LAUNCHER), "run", *options, "/", "/bin/sh", "-c", script]
    environment = {"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": service.address}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def wait_for_container(service: FakeService, call: str = "WaitContainer"):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 20
    while not any(name == call for _path, name, _body, _flags in service.calls):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (container,) = service.containers.values()
    return container


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_go_to_the_container(service: FakeService, number: int) -> None:
    process = start(service, f"trap 'echo got; exit 5' {number}; echo up; while :; do sleep 0.05; done")
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (5, b"got\n", b"")


def test_third_interrupt_leaves_the_container(service: FakeService) -> None:
    process = start(service, "trap '' INT; echo up; sleep 20")
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    for passed_on in (1, 2):
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 20
        while [name for _path, name, _body, _flags in service.calls].count("Kill") < passed_on:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"goes on" in err
    (container,) = service.containers.values()
    assert container.process is not None
    assert container.process.poll() is None


def test_nobody_reads_is_141_and_the_container_goes_on(service: FakeService) -> None:
    process = start(service, "while sleep 0.02; do echo line; done")
    assert process.stdout is not None
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.wait(timeout=20) == 141
    (container,) = service.containers.values()
    assert container.process is not None
    assert container.process.poll() is None


def test_service_restarted_while_waiting(mctl: Mctl, service: FakeService) -> None:
    service.errors["WaitContainer"] = [Refused("org.freedesktop.DBus.Error.NoReply")] * 2
    result = mctl("run", "/", "/bin/sh", "-c", "exit 6")
    assert result.returncode == 6
    assert result.stderr.count(b"mctl logs -f") == 1


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--memory", "1m", "/", "true"], "--memory 1m is too small: the least is 4m"),
        (["/nonexistent", "true"], "'/nonexistent' does not exist"),
        (["/etc/passwd", "true"], "not a directory"),
        (["/"], "no command"),
        ([], "no image was given"),
        (["-it", "/", "sh"], "the input device is not a TTY"),
        (["--entrypoint=/a", "/", "sh"], "--entrypoint is for images"),
        (["--nmae", "x", "/", "sh"], "did you mean --name"),
    ],
)
def test_usage_is_refused_before_anything_is_sent(
    mctl: Mctl, service: FakeService, words: list[str], part: str
) -> None:
    result = mctl("run", *words)
    assert result.returncode == 125
    assert part in result.stderr.decode()
    assert service.calls == []


def test_warnings_are_told_unless_quiet(mctl: Mctl, service: FakeService) -> None:
    service.warnings = ["the directory was copied"]
    assert mctl("run", "/", "true").stderr == b"mctl: the directory was copied\n"
    assert mctl("run", "-q", "--name", "quiet", "/", "true").stderr == b""


@pytest.mark.parametrize(("state", "member"), [("exited", "StartAttached"), ("running", "Attach")])
def test_start_in_the_foreground(mctl: Mctl, service: FakeService, state: str, member: str) -> None:
    """As with docker and podman, one that runs already is joined."""
    service.add("web", State=("s", state), Command=("as", ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]))
    result = mctl("start", "-a", "web")
    assert (result.returncode, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert member in [call[1] for call in service.calls]


def test_one_that_somebody_else_starts_at_that_moment_is_joined(mctl: Mctl, service: FakeService) -> None:
    made = service.add("web", Command=("as", ["/bin/sh", "-c", "echo out; exit 3"]))
    service.meanwhile["StartAttached"] = lambda: made.properties.update(State=("s", "running"))
    result = mctl("start", "-a", "web")
    assert (result.returncode, result.stdout) == (3, b"out\n")
    service.errors["StartAttached"] = [Refused("org.mctl1.Error.AlreadyRunning", "container 'web' is paused already")]
    service.meanwhile["StartAttached"] = lambda: made.properties.update(State=("s", "paused"))
    made.properties["State"] = ("s", "exited")
    assert b"is paused already" in mctl("start", "-a", "web").stderr


def test_input_cannot_be_given_to_one_that_runs(mctl: Mctl, service: FakeService) -> None:
    """What would be lost without a word is refused."""
    service.add("web", State=("s", "running"))
    result = mctl("start", "-a", "-i", "web")
    assert result.returncode == 1
    assert b"web runs already, and where its input comes from was settled at its start" in result.stderr
    assert [call[1] for call in service.calls] == ["GetAll"]
