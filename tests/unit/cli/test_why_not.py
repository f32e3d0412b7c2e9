# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl why-not and who-can, with a systemd-run and a loginctl of our own."""

from __future__ import annotations

import json
import os
import pwd
from typing import TYPE_CHECKING

import pytest

from mctl.commands import who_can
from mctl.failures import UsageError
from mctl.standin import account, situations

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unit.cli.conftest import Result
    from unit.cli.fake_service import FakeService

    Mctl = Callable[..., Result]

ME = pwd.getpwuid(os.getuid()).pw_name
ANSWER = {"type": "a{s(sss)}", "data": [{"Stop": ["challenge", "org.mctl1.manage", "there is no container of yours"]}]}


@pytest.fixture
def programs(tmp_path: Path, environment: dict[str, str]) -> Path:
    """What stands in for systemd's; each writes down how it was called."""
    directory = tmp_path / "bin"
    directory.mkdir()
    scripts = {
        "systemd-run": f"echo '{json.dumps(ANSWER)}'",
        "loginctl": 'case "$*" in *Seat*) echo seat0 ;; *) echo 3 ;; esac',
    }
    for name, script in scripts.items():
        (directory / name).write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/{name}\n{script}\n')
        (directory / name).chmod(0o755)
    environment["PATH"] = f"{directory}:{environment['PATH']}"
    return tmp_path


def test_it_asks_elsewhere_and_here(mctl: Mctl, service: FakeService, programs: Path) -> None:
    service.add("web")
    result = mctl("why-not", ME, "stop", "web")
    assert result.returncode == 1
    lines = result.stdout.decode().splitlines()
    assert lines[0] == f"elsewhere, in no session, {ME} may stop web only where polkit is given a password"
    assert lines[2] == f"at this host, in session 3, {ME} may stop web only where polkit is given a password"
    assert lines[1] == lines[3] == "  the service says: there is no container of yours"
    first, second = sorted((programs / "systemd-run").read_text().splitlines(), key=len)
    uid = os.getuid()
    assert f"--uid={uid} " in first
    assert "--slice" not in first
    assert f"--slice=user-{uid}.slice" in second
    assert first.endswith("call org.mctl1 /org/mctl1/container/web org.mctl1.Container Can as 1 Stop")


def test_json(mctl: Mctl, service: FakeService, programs: Path) -> None:
    assert programs.exists()
    service.add("web")
    for words in (["why-not", ME, "stop", "web"], ["who-can", "-u", ME, "stop", "web"]):
        found = json.loads(mctl(*words, "--json=short").stdout)
        assert [(each["Session"], each["Answer"]) for each in found] == [("", "challenge"), ("3", "challenge")]


def test_what_systemd_run_says_is_passed_on(mctl: Mctl, service: FakeService, programs: Path) -> None:
    service.add("web")
    (programs / "bin" / "systemd-run").write_text("#!/bin/sh\necho 'Access denied' >&2; exit 1\n")
    result = mctl("why-not", ME, "stop", "web")
    assert result.returncode == 1
    assert result.stderr.decode().endswith(": Access denied; this takes root, and systemd-run\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["why-not", ME, "stop"], "takes a user, a verb and a name, but got 2"),
        (["why-not", "nobody-of-this-name", "stop", "web"], "there is no user 'nobody-of-this-name'"),
        (["why-not", "99999999999999999999", "stop", "web"], "there is no user '9999"),
        (["why-not", ME, "ps", "web"], "'ps' is not done to a container"),
        (["who-can", "stop"], "takes a verb and a name, but got 1"),
    ],
)
def test_what_is_wrong_is_named(mctl: Mctl, words: list[str], said: str) -> None:
    result = mctl(*words)
    assert result.returncode == 125
    assert said in result.stderr.decode()


def test_where_logind_knows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert [s.session for s in situations(account("root"))] == [""]


def test_people_are_those_of_login_defs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    defs = tmp_path / "login.defs"
    defs.write_text("# UID_MIN 1\nUID_MIN\t\t  2000\nUID_MAX 2001\nUID_MAX\n")
    monkeypatch.setattr(who_can, "LOGIN_DEFS", str(defs))
    assert who_can.bounds() == (2000, 2001)
    users = [
        pwd.struct_passwd((f"u{uid}", "x", uid, uid, "", "/", "/bin/sh")) for uid in (2001, 0, 1, 1999, 2000, 2002)
    ]
    monkeypatch.setattr(pwd, "getpwall", lambda: users)
    assert [u.pw_uid for u in who_can.people(1999)] == [0, 1999, 2000, 2001]
    monkeypatch.setattr(who_can, "USERS_MAX", 3)
    with pytest.raises(UsageError, match="4 users are more than 3"):
        who_can.people(1999)
