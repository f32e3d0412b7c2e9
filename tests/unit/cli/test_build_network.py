# SPDX-License-Identifier: GPL-3.0-or-later
"""Which networks a step reaches is for the caller of a build to say, not for a stranger's Containerfile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mctl.building.build import Build
from mctl.building.containerfile import instructions
from mctl.building.service import Image
from mctl.building.stage import Stage
from mctl.failures import UsageError


class Reached(Exception):
    """The step would run."""


def step(chosen: str, named: str = "") -> None:
    (_, run), escape = instructions(f"FROM x\nRUN --network={chosen} true")

    def start(*_: object) -> None:
        raise Reached

    nothing = SimpleNamespace(clear=lambda: None)
    service = SimpleNamespace(network=named, run=start, remove=lambda: None)
    given: Any = (service, None, {}, ({}, {}), nothing)
    build = Build(*given, cached=False, quiet=True, private=False)
    build._do(Stage(Image("sha256:x", [], {}), {}, {}, escape), run, [])


@pytest.mark.parametrize(("chosen", "named"), [("default", ""), ("none", ""), ("none", "inner"), ("inner", "inner")])
def test_networks_that_a_containerfile_may_choose(chosen: str, named: str) -> None:
    with pytest.raises(Reached):
        step(chosen, named)


@pytest.mark.parametrize(("chosen", "named"), [("host", ""), ("bridge", ""), ("other", "inner"), ("container:x", "")])
def test_others_are_the_callers_to_name(chosen: str, named: str) -> None:
    with pytest.raises(UsageError, match=f"line 2: RUN --network={chosen} is not for a Containerfile to choose"):
        step(chosen, named)
