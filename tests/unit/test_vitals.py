# SPDX-License-Identifier: GPL-3.0-or-later
"""What a row of checks says about a container."""

from __future__ import annotations

import pytest

from mctld.health import HealthCheck
from mctld.lifecycle.vitals import Vitals

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("results", "health"),
    [
        ("", "starting"),
        ("x", "starting"),
        ("xx", "starting"),
        ("xxx", "unhealthy"),
        (".", "healthy"),
        (".xx", "healthy"),
        (".xx.xx", "healthy"),  # in a row
        (".xxx", "unhealthy"),
        (".xxxxxx", "unhealthy"),
        ("xxxx.", "healthy"),
    ],
)
def test_retries(results: str, health: str) -> None:
    check, vitals = HealthCheck(("true",), retries=3), Vitals()
    for result in results:
        vitals = vitals.after(check, good=result == ".", age_usec=0)
    assert vitals.health == health


def test_failures_of_the_start_period_do_not_count_until_one_was_good() -> None:
    check = HealthCheck(("true",), retries=2, start_period_usec=10 * SECOND)
    vitals = Vitals()
    for _ in range(9):
        vitals = vitals.after(check, good=False, age_usec=9 * SECOND)
    assert vitals == Vitals("starting", 0)
    late = vitals.after(check, good=False, age_usec=10 * SECOND).after(check, good=False, age_usec=11 * SECOND)
    assert late.health == "unhealthy"
    good = vitals.after(check, good=True, age_usec=SECOND)
    for _ in range(2):
        good = good.after(check, good=False, age_usec=2 * SECOND)
    assert good.health == "unhealthy"
