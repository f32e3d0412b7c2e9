# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a caller names to the rules that hold for these capabilities on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import default

if TYPE_CHECKING:
    from .profile import Profile

UNCONFINED = "unconfined"


def resolve(profile: str, capabilities: frozenset[str], machine: str) -> Profile | None:
    """None: no filter. Capabilities are names without CAP_; machine as uname(2) has it."""
    if profile == UNCONFINED:
        return None
    return default.profile(capabilities, machine)
