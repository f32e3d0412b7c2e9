# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl prune: only what has ended, of the caller's own; what starts at boot stays."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from unit.cli.fake_service import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.cli.conftest import Result
    from unit.cli.fake_service import FakeService

    Mctl = Callable[..., Result]


def removed(service: FakeService) -> list[tuple[str, int]]:
    return [(path.rpartition("/")[2], body[0]) for path, member, body, _ in service.calls if member == "Remove"]


def populate(service: FakeService) -> None:
    for name, state, enabled in (("done", "exited", False), ("boots", "exited", True), ("web", "running", False)):
        service.add(name, State=("s", state), Enabled=("b", enabled))


def test_what_has_ended_goes(mctl: Mctl, service: FakeService) -> None:
    populate(service)
    result = mctl("prune")
    assert (result.returncode, result.stdout) == (0, b"done\n")
    assert removed(service) == [("done", 0)]
    asked = next(body for _, member, body, _ in service.calls if member == "ListContainers")
    assert asked[0]["OwnerUID"] == ("u", os.getuid())


def test_with_nameless_volumes(mctl: Mctl, service: FakeService) -> None:
    populate(service)
    assert mctl("prune", "-f", "--volumes").returncode == 0
    assert removed(service) == [("done", 2)]


def test_somebody_else_was_faster_and_what_is_refused(mctl: Mctl, service: FakeService) -> None:
    populate(service)
    service.errors["Remove"] = [Refused("org.mctl1.Error.AlreadyRunning")]
    assert (mctl("prune").returncode, len(removed(service))) == (0, 1)
    service.errors["Remove"] = [Refused("org.freedesktop.DBus.Error.AccessDenied", "no")]
    result = mctl("prune")
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"done" in result.stderr


def test_names_are_for_rm(mctl: Mctl, service: FakeService) -> None:
    result = mctl("prune", "web")
    assert b"`mctl rm` removes by name" in result.stderr
    assert not service.calls


def test_system_prune_refuses_names(mctl: Mctl, service: FakeService) -> None:
    done = mctl("system", "prune", "web")
    assert (done.returncode, done.stderr) == (125, b"mctl: system prune takes no names, but got 'web'\n")
    assert service.calls == []
