# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan is data: its order is what keeps a container in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mctld.runtime import capabilities, planner, stage
from mctld.spec import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from mctld.spec import Spec


def operations(spec: Spec) -> list[str]:
    return [step.operation for step in planner.plan(spec, last_capability=40).steps]


def test_every_operation_is_known_to_the_stage(make_spec: Callable[..., Spec]) -> None:
    assert set(operations(make_spec())) <= set(stage.OPERATIONS)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("own-credentials", "root"),  # what is made belongs to the container
        ("gate", "cgroup-namespace"),  # whose root is the scope only once we are in it
        ("device", "pivot"),  # the host's nodes are out of sight after it
        ("pivot", "working-directory"),  # CVE-2024-21626
        ("bounding-set", "user"),  # dropping needs CAP_SETPCAP
        ("user", "capabilities"),
        ("capabilities", "no-new-privileges"),
        ("no-new-privileges", "execute"),
    ],
)
def test_the_order_holds(make_spec: Callable[..., Spec], first: str, then: str) -> None:
    found = operations(make_spec())
    assert max(i for i, o in enumerate(found) if o == first) < found.index(then)
    assert found[-1] == "execute"


def test_only_root_keeps_capabilities(make_spec: Callable[..., Spec]) -> None:
    def kept(spec: Spec) -> list[str]:
        steps = planner.plan(spec, last_capability=40).steps
        keep: list[str] = next(s.arguments["keep"] for s in steps if s.operation == "capabilities")
        return keep

    assert kept(make_spec()) == list(capabilities.DEFAULT)
    assert kept(make_spec(user=User(1000, 1000))) == []


def test_the_default_capabilities_are_podmans_eleven() -> None:
    assert capabilities.mask(list(capabilities.DEFAULT)) == 0x800405FB


def test_a_declared_variable_wins(make_spec: Callable[..., Spec]) -> None:
    found = planner.environment(make_spec(environment=("PATH=/x", "A=b=c")))
    assert found == {"PATH": "/x", "HOME": "/", "container": "mctl", "A": "b=c"}


def test_a_plan_can_be_sent_and_read(make_spec: Callable[..., Spec]) -> None:
    plan = planner.plan(make_spec(), last_capability=40)
    assert [step["operation"] for step in json.loads(plan.encode())] == operations(make_spec())
    assert "mount proc on /proc" in plan.describe()
