# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins: found where other tools leave them, asked for, never on a command line, and never more than one."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from mctl.access import pull_policy, user_name
from mctl.credentials import authentication, entry_of
from mctl.failures import UsageError
from mctl.origin import hub_name, names_registry
from mctl.parser import Arguments

if TYPE_CHECKING:
    from pathlib import Path

AUTHS: dict[str, Any] = {
    "example.org": {"auth": "host"},
    "example.org/team": {"auth": "team", "email": "x"},
    "https://index.docker.io/v1/": {"auth": "hub"},
    "https://other.org": {"identitytoken": "t"},
    "empty.org": {},
}


@pytest.mark.parametrize(("reference", "found"), [
    ("example.org/web:1", {"auth": "host"}),
    ("example.org/team/web", {"auth": "team"}),
    ("example.org/teams/web", {"auth": "host"}),
    ("docker.io/library/nginx", {"auth": "hub"}),
    ("other.org/x", {"identitytoken": "t"}),
    ("empty.org/x", None),
    ("elsewhere.org/example.org/web", None),
])  # fmt: skip
def test_the_entry_of_one_registry(reference: str, found: object) -> None:
    assert entry_of({"auths": AUTHS, "credsStore": "desktop"}, reference) == found


@pytest.mark.parametrize("document", [{}, {"auths": []}, {"auths": {"example.org": "x"}}])
def test_files_without_entries(document: dict[str, Any]) -> None:
    assert entry_of(document, "example.org/x") is None


def content(descriptor: int | None) -> Any:
    assert descriptor is not None
    try:
        return json.loads(os.pread(descriptor, 1000, 0))
    finally:
        os.close(descriptor)


def test_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    assert authentication(Arguments({}, []), "example.org/web") is None
    for place, secret in ((".docker/config.json", "1"), (".config/containers/auth.json", "2"),
                          ("run/containers/auth.json", "3")):  # fmt: skip
        file = tmp_path / place
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"auths": {"example.org": {"auth": secret}}}))
        assert content(authentication(Arguments({}, []), "example.org/web")) == {"auth": secret}
    given = tmp_path / "given"
    with pytest.raises(UsageError, match="No such file"):
        authentication(Arguments({"authfile": str(given)}, []), "example.org/web")
    given.write_text("{")
    with pytest.raises(UsageError, match="is not JSON"):
        authentication(Arguments({"authfile": str(given)}, []), "example.org/web")
    given.write_text(json.dumps({"auths": AUTHS}))
    assert content(authentication(Arguments({"authfile": str(given)}, []), "example.org/web")) == {"auth": "host"}
    assert authentication(Arguments({"authfile": str(given)}, []), "nowhere.org/web") is None


def test_a_password_is_read(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("öpen:sesame\nmore")
    before, opened = os.dup(0), os.open(file, os.O_RDONLY)
    os.dup2(opened, 0)
    try:
        found = content(authentication(Arguments({"creds": "alice"}, []), "example.org/web"))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        with pytest.raises(UsageError, match="no password was given"):
            authentication(Arguments({"creds": "alice"}, []), "example.org/web")
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(opened)
    assert base64.b64decode(found["auth"]).decode() == "alice:öpen:sesame"


def test_a_password_on_the_command_line_is_refused() -> None:
    with pytest.raises(UsageError, match="everybody's to read") as refused:
        user_name("--creds", "alice:secret")
    assert "secret" not in str(refused.value)
    with pytest.raises(UsageError, match="give missing, always or never"):
        pull_policy("--pull", "newer")


def test_names_that_say_their_registry() -> None:
    names = ("docker.io/x", "localhost/x", "a:5000/x", "[::1]:5000/x", "team/x", "x", "x:1", "localhost")
    assert [names_registry(name) for name in names] == [True, True, True, True, False, False, False, False]
    assert (hub_name("nginx:1"), hub_name("team/web")) == ("docker.io/library/nginx:1", "docker.io/team/web")
