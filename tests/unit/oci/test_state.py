# SPDX-License-Identifier: GPL-3.0-or-later
"""Where containers are known: every command of one caller must find the same place."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from mctld.errors import InvalidArgs, NoSuchContainer
from mctld.oci import state

if TYPE_CHECKING:
    from pathlib import Path


def test_roots_place_depends_on_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """podman 4.3 calls create with an empty _CONTAINERS_USERNS_CONFIGURED, and start without one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")
    monkeypatch.setenv("_CONTAINERS_USERNS_CONFIGURED", "")
    assert state.root_directory("", rootless=False) == "/run/mctl-oci"


def test_others_have_one_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert state.root_directory("", rootless=True) == "/run/user/7/mctl-oci"
    assert state.root_directory("/srv/x", rootless=True) == "/srv/x"


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to make what belongs to others")
@pytest.mark.parametrize(("owner", "mode"), [(1000, 0o700), (0, 0o777), (0, 0o720)])
def test_an_entry_of_somebody_elses_is_not_believed(tmp_path: Path, owner: int, mode: int) -> None:
    """Its hooks would be executed at delete, by root."""
    tmp_path.chmod(0o1777)  # as /tmp
    with state.make(str(tmp_path), "ours"):
        pass
    planted = tmp_path / "planted"
    planted.mkdir()
    planted.chmod(mode)
    os.chown(planted, owner, owner)
    before = len(os.listdir("/proc/self/fd"))
    for reach in (state.find, state.look):
        reach(str(tmp_path), "ours").unlock()
        with pytest.raises(InvalidArgs, match=rf"planted belongs to user {owner} and has the mode {mode:04o}: it"):
            reach(str(tmp_path), "planted")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to make what belongs to others")
@pytest.mark.parametrize(
    ("owner", "group", "mode", "why"),
    [
        (0, 0, 0o777, "may be written to by other users (mode 0777)"),
        (0, 1000, 0o770, "may be written to by other users (mode 0770)"),
        (1000, 1000, 0o700, "belongs to user 1000"),
    ],
)
def test_a_root_that_others_can_change_is_refused(tmp_path: Path, owner: int, group: int, mode: int, why: str) -> None:
    root = tmp_path / "root"
    (root / "web").mkdir(parents=True, mode=0o700)
    os.chown(root, owner, group)
    root.chmod(mode)
    for reach in (state.make, state.find):
        with pytest.raises(InvalidArgs, match=re.escape(why)):
            reach(str(root), "web")
    os.chown(root, 0, 0)
    root.chmod(0o770)  # root's group is root's
    state.find(str(root), "web").unlock()


def test_no_root_yet_is_no_container(tmp_path: Path) -> None:
    with pytest.raises(NoSuchContainer):
        state.find(str(tmp_path / "none"), "web")
