# SPDX-License-Identifier: GPL-3.0-or-later
"""What README.md tells a stranger to type works, line by line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

README = Path(__file__).parents[3] / "README.md"
# A reader takes longer than a server to be there.
LISTENING = "until mctl exec web grep -q ':0050 ' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done"
COMMAND = re.compile(r"^ {4}((?:mctl|journalctl|busctl|systemctl) .*?)(?: {2,}#.*)?$", re.MULTILINE)


@pytest.mark.nspawn
def test_each_line(mctl: Mctl) -> None:
    commands = COMMAND.findall(README.read_text())
    assert len(commands) > 8
    outputs = {}
    for command in commands:
        result = mctl.shell(command, check=False, timeout=120)
        outputs[command] = result.text
        assert result.returncode == 0, (command, result.stderr)
        if " httpd " in command:
            mctl.shell(LISTENING, timeout=120)
        if "wget" in command:
            assert result.text == "hello\n"
    assert outputs["mctl run --rm busybox echo hello"] == "hello\n"
    assert "0.0.0.0:8080->80/tcp" in outputs["mctl ps"]
    mctl("rmi", "busybox")
    mctl("volume", "rm", "site")
