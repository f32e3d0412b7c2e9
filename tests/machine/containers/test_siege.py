# SPDX-License-Identifier: GPL-3.0-or-later
"""The service and the spawner are killed at random while containers come and go: none is lost, nothing is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

SIEGE = Path(__file__).parents[1] / "siege.py"


@pytest.mark.allow_journal(r".*")  # whatever it has to say about being killed
@pytest.mark.parametrize("kills", [40, pytest.param(1000, marks=pytest.mark.siege)])
def test_kills_lose_nothing(mctl: Mctl, kills: int) -> None:
    argv, patience = ["python3", "-IS", "-", str(kills), "7"], 100 + 4 * kills
    result = mctl.machine.run(argv, input=SIEGE.read_bytes(), timeout=patience)
    found = json.loads(result.stdout)
    print(found)
    assert found["lies"] == [], found
    killed = sum(number for what, number in found["done"].items() if what.startswith("killed"))
    assert killed > kills * 3 // 4, found
    assert sum(number for what, number in found["done"].items() if what.endswith("done")) >= kills, found
    mctl.run("true", options=["--rm"])  # connects to the spawner anew, should the last kill have been its
