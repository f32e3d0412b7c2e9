# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty scope is announced to PID 1 only where it does not see to it by itself."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from mctld.lifecycle import vacancy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def scope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(vacancy, "HIERARCHY", str(tmp_path))
    directory = tmp_path / "x.scope"
    directory.mkdir()
    (directory / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    return directory


def test_pid_1_is_left_in_peace_while_it_removes_it(scope: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of ours inside would keep the directory for ever."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("subprocess.Popen", fail)
    threading.Timer(0.05, lambda: shutil.rmtree(scope)).start()
    vacancy.announce("/x.scope", 10)


def test_what_stays_empty_is_announced(scope: Path) -> None:
    vacancy.announce("/x.scope", 0.05)
    assert int((scope / "cgroup.procs").read_text())


def test_one_with_processes_is_not(scope: Path) -> None:
    (scope / "cgroup.events").write_text("populated 1\n")
    vacancy.announce("/x.scope", 10)
    assert not (scope / "cgroup.procs").exists()
