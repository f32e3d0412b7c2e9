# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl can: verbs in, answers out, and nobody is asked for a password."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mctl.abilities import METHODS, method_of
from mctl.failures import UsageError
from mctl.parser import VERBS
from unit.cli.fake_service import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.cli.conftest import Result
    from unit.cli.fake_service import FakeService

    Mctl = Callable[..., Result]


def test_all_verbs_of_a_container(mctl: Mctl, service: FakeService) -> None:
    service.add("web")
    service.answers = {"Stop": ("na", "org.mctl1.manage-own", "container 'web' is created: it must be running")}
    result = mctl("can", "web")
    lines = result.stdout.decode().splitlines()
    assert result.returncode == 0
    assert [line.split()[0] for line in lines[1:]] == list(METHODS)
    assert "stop     na      container 'web' is created: it must be running" in lines


@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("na", 1), ("challenge", 1), ("no", 1)])
def test_the_exit_status_tells(mctl: Mctl, service: FakeService, answer: str, status: int) -> None:
    service.add("web")
    service.answers = {"Freeze": (answer, "org.mctl1.manage", "so it is")}
    assert mctl("can", "-q", "web", "freeze").returncode == status
    result = mctl("can", "--json=short", "web", "pause", "start")
    assert json.loads(result.stdout)["pause"] == {
        "Answer": answer, "Action": "org.mctl1.manage", "Reason": "so it is",
    }  # fmt: skip
    assert service.calls[-1][1:3] == ("Can", (["Freeze", "Start"],))


@pytest.mark.parametrize("error", ["AccessDenied", "InteractiveAuthorizationRequired"])
def test_what_is_hidden_is_asked_about_by_its_name(mctl: Mctl, service: FakeService, error: str) -> None:
    hidden = service.add("web")
    service.errors["GetContainer"] = [Refused(f"org.freedesktop.DBus.Error.{error}")]
    service.answers = {"Stop": ("no", "org.mctl1.manage", "there is no container 'web' of yours")}
    result = mctl("can", "web", "stop")
    assert (result.returncode, b"of yours" in result.stdout) == (1, True)
    assert [(path, member, flags) for path, member, _, flags in service.calls] == [
        ("/org/mctl1", "GetContainer", 0), (hidden.path, "Can", 0),
    ]  # fmt: skip


def test_what_is_not_there_is_an_error(mctl: Mctl, service: FakeService) -> None:
    result = mctl("can", "web", "stop")
    assert (result.returncode, b"no container" in result.stderr) == (1, True)
    assert service.containers == {}


def test_verbs_are_those_of_mctl() -> None:
    assert set(METHODS) <= set(VERBS)
    with pytest.raises(UsageError, match=r"'stpo' is not done to a container .did you mean stop"):
        method_of("stpo")
