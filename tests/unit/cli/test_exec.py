# SPDX-License-Identifier: GPL-3.0-or-later
"""`mctl exec` whole: the launcher, a bus, and a service that runs processes."""

from __future__ import annotations

import os
import signal
import subprocess
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


@pytest.fixture(autouse=True)
def _web(service: FakeService) -> None:
    service.add("web", "abcdef", State=("s", "running"))


@pytest.mark.parametrize("status", [0, 1, 7, 125, 126, 127, 255])
def test_exit_code_is_the_commands(mctl: Mctl, status: int) -> None:
    result = mctl("exec", "web", "/bin/sh", "-c", f"exit {status}")
    assert (result.returncode, result.stdout, result.stderr) == (status, b"", b"")


def test_killed_is_128_and_the_signal(mctl: Mctl) -> None:
    assert mctl("exec", "web", "/bin/sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_output_is_raw_and_input_goes_in_with_i_only(mctl: Mctl) -> None:
    assert mctl("exec", "-i", "web", "cat", stdin=BINARY).stdout == BINARY
    assert mctl("exec", "web", "cat", stdin=BINARY).stdout == b""
    result = mctl("exec", "web", "/bin/sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")


def test_what_was_asked_is_what_is_sent(mctl: Mctl, service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# none\nB=2\n")
    words = [
        "-u",
        "7:8",
        "-w",
        "/srv",
        "-e",
        "A=b=c",
        "--env-file",
        str(tmp_path / "env"),
        "web",
        "true",
        "-x",
        "--",
        "-d",
    ]
    assert mctl("exec", *words).returncode == 0
    (path, member, body, _), *_ = service.calls
    assert (path, member) == ("/org/mctl1/container/web", "Exec")
    options = {"User": ("s", "7:8"), "WorkingDirectory": ("s", "/srv"), "Environment": ("as", ["B=2", "A=b=c"])}
    assert body == (["true", "-x", "--", "-d"], options, 1)


def test_detached_prints_the_id_and_waits_for_nothing(mctl: Mctl, service: FakeService) -> None:
    result = mctl("exec", "-d", "web", "sleep", "0.1")
    assert (result.returncode, result.stdout) == (0, b"e1\n")
    assert [(call[1], call[2][2]) for call in service.calls] == [("Exec", 0)]


def test_a_container_is_found_by_its_id(mctl: Mctl) -> None:
    assert mctl("exec", "-i", "ABCD", "cat", stdin=b"text").stdout == b"text"


def test_a_container_that_is_not_there(mctl: Mctl) -> None:
    result = mctl("exec", "nosuch", "true")
    assert result.returncode == 125
    assert b"there is no container 'nosuch'" in result.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("org.mctl1.Error.CommandNotFound", 127),
        ("org.mctl1.Error.CommandNotExecutable", 126),
        ("org.mctl1.Error.NotRunning", 125),
        ("org.freedesktop.DBus.Error.AccessDenied", 125),
    ],
)
def test_refusals(mctl: Mctl, service: FakeService, error: str, status: int) -> None:
    service.errors["Exec"] = [Refused(error, "nope")]
    result = mctl("exec", "web", "true")
    assert result.returncode == status
    assert b"nope" in result.stderr


def start(service: FakeService, script: str) -> subprocess.Popen[bytes]:
    words = [str(LAUNCHER), "exec", "web", "/bin/sh", "-c", script]
    environment = {"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": service.address}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_go_to_the_command(service: FakeService, number: int) -> None:
    process = start(service, f"trap 'echo got; exit 5' {number}; echo up; while :; do sleep 0.05; done")
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (5, b"got\n", b"")
    assert [call[0] for call in service.calls if call[1] == "Kill"] == ["/org/mctl1/exec/e1"]


def test_a_service_restarted_meanwhile_is_no_matter(mctl: Mctl, service: FakeService) -> None:
    service.errors["Wait"] = [Refused("org.freedesktop.DBus.Error.NoReply")] * 2
    result = mctl("exec", "web", "/bin/sh", "-c", "echo out; exit 6")
    assert (result.returncode, result.stdout, result.stderr) == (6, b"out\n", b"")


def test_an_end_that_nobody_knows_is_told(mctl: Mctl, service: FakeService) -> None:
    service.errors["Wait"] = [Refused("org.freedesktop.DBus.Error.UnknownObject", "there is no exec")]
    result = mctl("exec", "web", "true")
    assert result.returncode == 125
    assert b"there is no exec" in result.stderr


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["web"], "needs a container and a command"),
        ([], "needs a container and a command"),
        (["web", ""], "needs a container and a command"),
        (["-it", "web", "sh"], "the input device is not a TTY"),
        (["--privileged", "web", "sh"], "--privileged is not offered"),
        (["-w", "srv", "web", "sh"], "not an absolute path"),
    ],
)
def test_usage_is_refused_before_anything_is_sent(
    mctl: Mctl, service: FakeService, words: list[str], part: str
) -> None:
    result = mctl("exec", *words)
    assert result.returncode == 125
    assert part in result.stderr.decode()
    assert service.calls == []
