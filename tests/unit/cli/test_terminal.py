# SPDX-License-Identifier: GPL-3.0-or-later
"""The password agent: started on a terminal only, awaited, and ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mctl import terminal
from mctl.terminal import PasswordAgent

if TYPE_CHECKING:
    from pathlib import Path

AGENT = """#!/bin/bash
echo "$@" > {log}
test "$1" = --notify-fd || exit 1
trap 'echo ended >> {log}; exit 0' TERM
sleep 0.2
echo ready >> {log}
eval "exec $2>&-"
while :; do sleep 0.05; done
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a stand-in for pkttyagent writes; this process seems to be a person's, on a terminal."""
    agent = tmp_path / "agent"
    agent.write_text(AGENT.format(log=tmp_path / "log"))
    agent.chmod(0o755)
    monkeypatch.setattr(terminal, "AGENT", str(agent))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "isatty", lambda fd: fd == 0)
    return tmp_path / "log"


def test_agent_is_awaited_and_ended(log: Path) -> None:
    agent = PasswordAgent.on_terminal()
    assert agent is not None
    assert log.read_text().splitlines()[1:] == ["ready"]
    assert "--fallback" in log.read_text()
    agent.close()
    assert log.read_text().splitlines()[1:] == ["ready", "ended"]
    with pytest.raises(ChildProcessError):
        os.waitpid(agent._pid, os.WNOHANG)


@pytest.mark.parametrize("name", ["root", "no terminal", "no agent"])
def test_nobody_to_ask(log: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if name == "root":
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    elif name == "no terminal":
        monkeypatch.setattr(os, "isatty", lambda _fd: False)
    else:
        monkeypatch.setattr(terminal, "AGENT", "/nonexistent")
    assert PasswordAgent.on_terminal() is None
    assert not log.exists()
