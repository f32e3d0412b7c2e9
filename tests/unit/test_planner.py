# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan is data: its order is what keeps a container in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mctld.kernel import constants as c
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
        ("no-new-privileges", "seccomp"),  # which else takes CAP_SYS_ADMIN
        ("working-directory", "seccomp"),  # what comes before needs no permission of a profile
        ("program", "seccomp"),
        ("seccomp", "execute"),
    ],
)
def test_the_order_holds(make_spec: Callable[..., Spec], first: str, then: str) -> None:
    found = operations(make_spec())
    assert max(i for i, o in enumerate(found) if o == first) < found.index(then)
    assert found[-1] == "execute"


def test_one_more_process_is_bound_as_the_first_is(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(user=User(7, 8), working_directory="/srv", environment=("A=1",))
    first = planner.plan(spec, last_capability=40).steps
    another = planner.exec_plan(spec, last_capability=40).steps
    assert [step.operation for step in another[:2]] == ["join", "own-credentials"]
    assert another[2:] == first[[step.operation for step in first].index("pivot") + 1 :]
    assert not another[0].arguments["namespaces"] & c.CLONE_NEWPID  # it was born there
    assert another[0].arguments["namespaces"] | c.CLONE_NEWPID == planner.NAMESPACES | c.CLONE_NEWCGROUP


def test_only_root_keeps_capabilities(make_spec: Callable[..., Spec]) -> None:
    def kept(spec: Spec) -> list[str]:
        steps = planner.plan(spec, last_capability=40).steps
        keep: list[str] = next(s.arguments["keep"] for s in steps if s.operation == "capabilities")
        return keep

    assert kept(make_spec()) == list(capabilities.DEFAULT)
    assert kept(make_spec(user=User(1000, 1000))) == []


def test_without_no_new_privs_the_filter_needs_a_capability(make_spec: Callable[..., Spec]) -> None:
    """It is not in the bounding set: execve(2) takes it away. tests/kernel/test_seccomp.py shows it."""
    allowed = planner.Confinement(no_new_privileges=False)
    for user, kept in ((User(0, 0), [*capabilities.DEFAULT, "SYS_ADMIN"]), (User(1000, 1000), ["SYS_ADMIN"])):
        steps = {s.operation: s.arguments for s in planner._privileges(make_spec(user=user), 40, allowed)}
        assert steps["capabilities"]["keep"] == kept
        assert steps["bounding-set"]["keep"] == list(capabilities.DEFAULT)
        assert steps["user"]["keep"] is True
        assert "no-new-privileges" not in steps


def test_an_unconfined_payload_has_no_filter(make_spec: Callable[..., Spec]) -> None:
    steps = planner._privileges(make_spec(), 40, planner.Confinement(seccomp="unconfined"))
    assert "seccomp" not in {s.operation for s in steps}


def test_the_default_capabilities_are_podmans_eleven() -> None:
    assert capabilities.mask(list(capabilities.DEFAULT)) == 0x800405FB


def test_a_declared_variable_wins(make_spec: Callable[..., Spec]) -> None:
    found = planner.environment(make_spec(environment=("PATH=/x", "A=b=c")))
    assert found == {"PATH": "/x", "HOME": "/", "container": "mctl", "A": "b=c"}


def test_a_plan_can_be_sent_and_read(make_spec: Callable[..., Spec]) -> None:
    plan = planner.plan(make_spec(), last_capability=40)
    assert [step["operation"] for step in json.loads(plan.encode())] == operations(make_spec())
    assert "mount proc on /proc" in plan.describe()
