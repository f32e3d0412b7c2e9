# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of system calls are those of the architecture that this interpreter was built for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mctld

PROGRAM = "from mctld.kernel import constants; print(constants.MACHINE, constants.SYS_KEYCTL, constants.SYS_IOPRIO_SET)"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="setarch(8) names another architecture's sibling")
def test_a_personality_changes_no_number() -> None:
    """With i386's numbers, a unit with Personality=x86 would call something else."""
    package = Path(mctld.__file__).parent.parent
    command = ["setarch", "i686", sys.executable, "-c", PROGRAM]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(package)}).stdout
    assert told.split() == ["x86_64", "250", "251"]
