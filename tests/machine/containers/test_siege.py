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
KILLS = 100


@pytest.mark.allow_journal(r".*")  # whatever it has to say about being killed
def test_a_hundred_kills_lose_nothing(mctl: Mctl) -> None:
    result = mctl.machine.run(["python3", "-IS", "-", str(KILLS), "7"], input=SIEGE.read_bytes(), timeout=500)
    found = json.loads(result.stdout)
    print(found)
    assert found["lies"] == [], found
    killed = sum(number for what, number in found["done"].items() if what.startswith("killed"))
    assert killed > KILLS * 3 // 4, found
    assert sum(number for what, number in found["done"].items() if what.endswith("done")) > KILLS, found
