# SPDX-License-Identifier: GPL-3.0-or-later
"""The spawner outlives upgrades: what it is asked to do may change only together with the protocol's number."""

from __future__ import annotations

import hashlib
import inspect
import re

from mctld import VERSION
from mctld.runtime import spawner, stage

KNOWN = {1: "c48f0c7cf74dca42"}


def digest() -> str:
    """Of all operations with their arguments."""
    operations = {name: str(inspect.signature(act)) for name, act in stage.OPERATIONS.items()}
    return hashlib.sha256(repr(sorted(operations.items())).encode()).hexdigest()[:16]


def test_changed_operations_come_with_a_new_protocol() -> None:
    """After a release: raise PROTOCOL and add a line to KNOWN. Before the first: replace the line."""
    assert KNOWN[spawner.PROTOCOL] == digest()


def test_the_version_can_stand_in_a_units_name() -> None:
    """mctl-spawner@VERSION.service: systemd.unit(5) knows no + or ~ there."""
    assert re.fullmatch(r"[A-Za-z0-9._]+", VERSION)
