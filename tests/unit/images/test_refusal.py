# SPDX-License-Identifier: GPL-3.0-or-later
"""What a confined child says of a path, although it can load nothing any more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from mctld.images.refusal import shown
sys.meta_path.clear()
print(shown(bytes.fromhex(sys.argv[1])))
"""


def test_any_path_can_be_told() -> None:
    path = b"/a\n\x1b[2J\xff\xe2\x80\xae"
    environment = {"PYTHONPATH": str(Path(__file__).parents[3] / "service"), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-S", "-c", SCRIPT, path.hex()]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert told == r"'/a\\n\\x1b[2J\\xff\\u202e'" + "\n"
