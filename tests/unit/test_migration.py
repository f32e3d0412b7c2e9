# SPDX-License-Identifier: GPL-3.0-or-later
"""One start alone announces its migration; of many at once the first does it for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mctld.runtime import migration
from mctld.runtime.migration import Migration

if TYPE_CHECKING:
    import pytest


def test_only_the_first_of_many_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("mctld.runtime.migration.time.monotonic", lambda: now)
    made = Migration()
    assert made.is_due()
    assert not made.is_due()
    now += migration.PAID_FOR * 0.9
    assert not made.is_due()
    now += migration.PAID_FOR * 0.9  # each has paid for the next
    assert not made.is_due()
    now += migration.PAID_FOR * 1.1
    assert made.is_due()
