# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart policies and health checks as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mctld.errors import InvalidArgs
from mctld.health import HealthCheck
from mctld.restart import RestartPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from mctld.spec import Spec


@pytest.mark.parametrize("text", ["no", "on-failure", "on-failure:7", "always", "unless-stopped"])
def test_a_policy_is_written_as_it_is_read(text: str) -> None:
    assert str(RestartPolicy.parse(text)) == text


def test_no_number_and_zero_are_no_bound() -> None:
    assert RestartPolicy.parse("on-failure:0") == RestartPolicy("on-failure", 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is not one of no, on-failure, always, unless-stopped, or on-failure:N"),
        ("sometimes", "'sometimes' is not known"),
        ("Always", "is not one of"),
        ("always:3", "always takes no number"),
        ("on-failure:", "is not one of"),
        ("on-failure:-1", "is not one of"),
        ("on-failure:٣", "is not one of"),
        ("on-failure:9999999", "must be between 0 and 1000000"),
        ("always\n", "is not one of"),
    ],
)
def test_other_policies_are_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidArgs, match=words):
        RestartPolicy.parse(text)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"command": ("",)}, "HealthCommand names no program"),
        ({"command": ("a\0",)}, "HealthCommand .* NUL"),
        ({"command": ("x" * 70_000,) * 2}, "HealthCommand is longer than 131072 bytes"),
        ({"interval_usec": 99_999}, "HealthIntervalUSec 99999 is out of range: it must be between 100000"),
        ({"timeout_usec": 999}, "HealthTimeoutUSec 999 is out of range: it must be between 1000"),
        ({"timeout_usec": 2**64 - 1}, "HealthTimeoutUSec"),
        ({"retries": 0}, "HealthRetries 0"),
        ({"start_period_usec": 2**63}, "HealthStartPeriodUSec"),
        ({"on_failure": "reboot"}, "HealthOnFailure 'reboot' is not known: give none, kill, restart, stop"),
    ],
)
def test_other_checks_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgs, match=words):
        HealthCheck(**given)


def test_what_is_removed_does_not_come_back(make_spec: Callable[..., Spec]) -> None:
    with pytest.raises(InvalidArgs, match="AutoRemove and RestartPolicy always exclude each other"):
        make_spec(auto_remove=True, restart=RestartPolicy("always"))
    with pytest.raises(InvalidArgs, match="AutoRemove and HealthOnFailure restart exclude each other"):
        make_spec(auto_remove=True, health=HealthCheck(("true",), on_failure="restart"))
    make_spec(auto_remove=True, restart=RestartPolicy("no"), health=HealthCheck(("true",), on_failure="kill"))
