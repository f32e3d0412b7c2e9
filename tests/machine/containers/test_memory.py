# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the host runs out of memory, containers go before the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

MARK = "import os, sys; print(os.getxattr(sys.argv[1], 'user.oomd_avoid'))"


@pytest.mark.parametrize(("unit", "score"), [("mctld.service", -500), ("mctl-spawner.service", -900)])
def test_the_kernel_and_systemd_oomd_are_asked_to_look_elsewhere(mctl: Mctl, unit: str, score: int) -> None:
    """systemd.resource-control(5): what bears systemd-oomd's mark is taken when nothing else is left."""
    mctl("ps")
    shown = mctl.shell(f"systemctl show -P ManagedOOMPreference -P OOMScoreAdjust {unit}").text
    assert sorted(shown.split()) == [str(score), "avoid"]
    group = f"/sys/fs/cgroup$(systemctl show -P ControlGroup {unit})"
    assert mctl.shell(f'/usr/bin/python3 -c "{MARK}" {group}').text == "b'1'\n"
