# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a caller names to the rules that hold for these capabilities on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import default, oci, strict

if TYPE_CHECKING:
    from .profile import Profile

UNCONFINED = "unconfined"
BUILT_IN = {"default": default.profile, "strict": strict.profile}


def resolve(profile: str, capabilities: frozenset[str], machine: str) -> Profile | None:
    """None: no filter. profile: a name, or the text of an OCI profile. capabilities: names without CAP_."""
    if profile == UNCONFINED:
        return None
    if profile in BUILT_IN:
        return BUILT_IN[profile](capabilities, machine)
    return oci.profile(profile, capabilities, machine, os.uname().release)
