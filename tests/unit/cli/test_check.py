# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl check: the table, its exit status, and why a service that does not answer does not."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from mctl import VERSION, unreachable
from mctl.failures import FREEDESKTOP, SYSTEMD, Failure, failure
from unit.cli.conftest import LAUNCHER
from unit.cli.fake_service import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unit.cli.conftest import Result
    from unit.cli.fake_service import FakeService

    Mctl = Callable[..., Result]

KEYS = ("Name", "Verdict", "Found", "Meaning", "Remedy")


def finding(*texts: str) -> dict[str, tuple[str, str]]:
    return {key: ("s", text) for key, text in zip(KEYS, texts, strict=True)}


FINE = finding("userns", "ok", "one was made", "Root inside is nobody outside.", "")
WARNED = finding("dmesg", "warning", "it is 0", "All may read it.", "sysctl -w x=1")
UNTOLD = finding("lsm", "unknown", "cannot be read", "Nothing depends on it.", "")
LACKING = finding("cgroup.io", "missing", "not offered", "There are no limits.", "install a kernel")


def test_the_table(mctl: Mctl, service: FakeService) -> None:
    service.findings = [FINE, WARNED, UNTOLD, LACKING]
    result = mctl("check")
    assert (result.returncode, result.stderr) == (1, b"")
    assert result.stdout.decode() == (
        "CHECK      VERDICT  FOUND\n"
        f"service    ok       mctld {VERSION} answers\n"
        "userns     ok       one was made\n"
        "dmesg      warning  it is 0\n"
        "           All may read it.\n"
        "           Remedy: sysctl -w x=1\n"
        "lsm        unknown  cannot be read\n"
        "           Nothing depends on it.\n"
        "cgroup.io  missing  not offered\n"
        "           There are no limits.\n"
        "           Remedy: install a kernel\n"
        "\n"
        "1 missing, 1 warning, 1 unknown.\n"
    )


def test_only_what_is_missing_makes_it_fail(mctl: Mctl, service: FakeService) -> None:
    service.findings = [FINE, WARNED, WARNED, UNTOLD]
    result = mctl("check")
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, b"2 warnings, 1 unknown.")
    service.findings = [FINE]
    result = mctl("check")
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, b"Nothing is missing.")


def test_quiet(mctl: Mctl, service: FakeService) -> None:
    service.findings = [FINE, WARNED, UNTOLD]
    assert (mctl("check", "-q").returncode, mctl("check", "--quiet").stdout) == (0, b"")
    service.findings.append(LACKING)
    result = mctl("check", "-q")
    assert (result.returncode, result.stdout.splitlines()[0]) == (1, b"cgroup.io  missing  not offered")


@pytest.mark.parametrize(("style", "lines"), [("short", 1), ("pretty", 16)])
def test_json(mctl: Mctl, service: FakeService, style: str, lines: int) -> None:
    service.findings = [LACKING]
    result = mctl("check", f"--json={style}")
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == lines
    own, found = json.loads(result.stdout)
    assert (own["Name"], own["Verdict"], set(own)) == ("service", "ok", set(KEYS))
    assert found == {key: value for key, (_, value) in LACKING.items()}


def test_another_version_is_a_warning(mctl: Mctl, service: FakeService) -> None:
    service.version = "9.9"
    result = mctl("check")
    assert result.returncode == 0
    assert b"systemctl restart mctld.service" in result.stdout


def test_operands_are_refused(mctl: Mctl, service: FakeService) -> None:
    assert (mctl("check", "web").returncode, service.calls) == (125, [])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (FREEDESKTOP + "UnknownMethod", b"the service is older than this mctl"),
        (FREEDESKTOP + "InteractiveAuthorizationRequired", b"needs a password"),
        ("org.mctl1.Error.Failed", b"because"),
    ],
)
def test_an_answer_is_no_silence(mctl: Mctl, service: FakeService, name: str, says: bytes) -> None:
    service.errors["Check"] = [Refused(name, "because")] * 2  # a password is asked for by a second call
    result = mctl("check", "--no-ask-password")
    assert (result.returncode, result.stdout) == (1, b"")
    assert says in result.stderr


def test_no_bus_is_a_finding(mctl: Mctl) -> None:
    result = mctl("check", "--json", DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nowhere/bus")
    assert result.returncode == 1
    (found,) = json.loads(result.stdout)
    assert (found["Name"], found["Verdict"], set(found)) == ("service", "missing", set(KEYS))
    assert "no system bus" in found["Found"]


def on_terminal(environment: dict[str, str], **extra: str) -> str:
    """What `mctl check` prints to a terminal of 100 columns."""
    controller, terminal = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with subprocess.Popen(
        [LAUNCHER, "check"], stdin=terminal, stdout=terminal, stderr=terminal, env=environment | extra
    ) as process:
        os.close(terminal)
        text = b""
        try:
            while data := os.read(controller, 65536):
                text += data
        except OSError:  # EIO: the other side is closed
            pass
        process.wait(timeout=20)
    os.close(controller)
    return text.decode().replace("\r\n", "\n")


def test_colours_only_where_they_are_seen(environment: dict[str, str], service: FakeService) -> None:
    service.findings = [LACKING]
    assert "\x1b[1;31mmissing\x1b[0m  not offered\n" in on_terminal(environment, TERM="xterm")
    assert "\x1b" not in on_terminal(environment, TERM="dumb")
    assert "\x1b" not in on_terminal(environment)
    assert "\x1b" not in on_terminal(environment, TERM="xterm", NO_COLOR="1")


def test_long_texts_are_wrapped_on_a_terminal(environment: dict[str, str], service: FakeService, mctl: Mctl) -> None:
    service.findings = [finding("x", "missing", "y", "word " * 40 + "end.", "")]
    assert max(len(line) for line in on_terminal(environment, TERM="dumb").splitlines()) < 100
    assert max(len(line) for line in mctl("check").stdout.splitlines()) > 200


def test_control_characters_are_not_obeyed(mctl: Mctl, service: FakeService) -> None:
    service.findings = [finding("x", "missing", "\x1b[2J", "a\nb", "\x07")]
    assert b"\\e[2J" in mctl("check").stdout
    assert b"\x1b" not in mctl("check").stdout


LOADED: dict[str, Any] = {"LoadState": "loaded", "ActiveState": "inactive"}
FAILED = LOADED | {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": 1}


@pytest.mark.parametrize(
    ("unit", "absent", "found", "remedy"),
    [
        ({"LoadState": "not-found"}, "", "not installed", "install"),
        ({"LoadState": "masked"}, "", "is masked", "systemctl unmask mctld.service"),
        ({"LoadState": "bad-setting"}, "", "(bad-setting)", "systemctl status"),
        (LOADED, "policy", "no policy", "install"),
        (LOADED, "activation", "cannot start it", "systemctl start"),
        (LOADED, "", "was not started: a reason", "systemctl start"),
        (LOADED | {"ActiveState": "active"}, "", "does not answer: a reason", "systemctl restart"),
        (FAILED, "", "(exit-code, status 1)", "journalctl"),
        (FAILED | {"ExecMainStatus": 78}, "", "status 78", "what of /var/lib/mctl is to be mended"),
        (LOADED | {"ActiveState": "activating", "NRestarts": 4}, "", "started again 4 times", "journalctl"),
        ({}, "", "was not started: a reason", "systemctl start"),
    ],
)
def test_why_the_service_is_silent(unit: dict[str, Any], absent: str, found: str, remedy: str) -> None:
    told = unreachable.of_unit(unit, "a reason", policy=absent != "policy", activatable=absent != "activation")
    assert told["Verdict"] == "missing"
    assert found in told["Found"]
    assert remedy in told["Remedy"]


class Deaf:
    """A client on a bus whose systemd says what is given."""

    def __init__(self, **units: str) -> None:
        self.units = units
        self.failure_status = 1

    def call(self, call: Any) -> tuple[dict[str, tuple[str, str]]]:
        assert (call.destination, call.member) == ("org.freedesktop.systemd1", "GetAll")
        kind = "socket" if "socket" in call.path else "service"
        if kind not in self.units:
            raise Failure("no", status=1)
        return ({"LoadState": ("s", self.units[kind])},)


def explained(client: Deaf, name: str) -> Any:
    return unreachable.explain(client, failure(name, "a reason", status=1))  # type: ignore[arg-type]


def test_what_the_bus_says_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy"
    monkeypatch.setattr(unreachable, "POLICIES", (str(tmp_path / "none"), str(policy)))
    monkeypatch.setattr(unreachable, "SYSTEMD_RUNS", str(tmp_path))
    monkeypatch.setattr(unreachable, "ACTIVATION", str(tmp_path))
    assert "no policy" in explained(Deaf(), FREEDESKTOP + "AccessDenied")["Found"]
    policy.touch()
    assert explained(Deaf(), FREEDESKTOP + "AccessDenied") is None
    assert explained(Deaf(), "org.mctl1.Error.StoreFailed") is None
    masked = explained(Deaf(service="masked", socket="loaded"), SYSTEMD + "UnitMasked")
    assert masked["Remedy"] == "systemctl unmask mctld.service"
    needed = explained(Deaf(service="loaded", socket="masked"), SYSTEMD + "UnitMasked")
    assert needed["Remedy"] == "systemctl unmask mctl-spawner.socket"
    assert "a reason" in explained(Deaf(), FREEDESKTOP + "ServiceUnknown")["Found"]
    monkeypatch.setattr(unreachable, "SYSTEMD_RUNS", str(tmp_path / "none"))
    assert "systemd is not" in explained(Deaf(), FREEDESKTOP + "ServiceUnknown")["Found"]
