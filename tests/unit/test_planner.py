# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan is data: its order is what keeps a container in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mctld import capability
from mctld.execution import Execution
from mctld.kernel import constants as c
from mctld.mounts import Bind, HostPath, Tmpfs
from mctld.runtime import capabilities, planner, stage
from mctld.runtime.given import Given
from mctld.security import Security
from mctld.spec import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from mctld.spec import Spec


def operations(spec: Spec) -> list[str]:
    return [step.operation for step in planner.plan(spec, last_capability=40).steps]


def given_operations(spec: Spec) -> list[str]:
    given = Given({"LISTEN_FDS": "1"}, credentials=True, sockets=1)
    return [step.operation for step in planner.plan(spec, last_capability=40, given=given).steps]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("pivot", "credentials"),  # whose owner the container's own passwd(5) knows
        ("credentials", "user"),  # nobody else may give them away
        ("fresh-process", "sockets"),  # which else would be closed
        ("sockets", "seccomp"),
    ],
)
def test_what_a_unit_gives_has_its_place(make_spec: Callable[..., Spec], first: str, then: str) -> None:
    found = given_operations(make_spec())
    assert set(found) <= set(stage.OPERATIONS)
    assert found.index(first) < found.index(then)


def test_a_unit_has_the_last_word_on_its_own_variables(make_spec: Callable[..., Spec]) -> None:
    plan = planner.plan(make_spec(environment=("LISTEN_FDS=7",)), last_capability=40, given=Given({"LISTEN_FDS": "1"}))
    assert plan.steps[-1].arguments["environment"]["LISTEN_FDS"] == "1"


def test_every_operation_is_known_to_the_stage(make_spec: Callable[..., Spec]) -> None:
    assert set(operations(make_spec())) <= set(stage.OPERATIONS)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("own-credentials", "root"),  # what is made belongs to the container
        ("gate", "cgroup-namespace"),  # whose root is the scope only once we are in it
        ("masked-paths", "gate"),
        ("read-only-paths", "masked-paths"),  # a path mounted on itself shows what had been hidden below it
        ("sysctl", "read-only-paths"),
        ("bind", "gate"),
        ("gate", "read-only-root"),
        ("read-only-root", "pivot"),
        ("keyring", "execute"),
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
    found = operations(make_spec(read_only=True, security=Security(sysctls=(("net.ipv4.ip_forward", "1"),))))
    assert max(i for i, o in enumerate(found) if o == first) < found.index(then)
    assert found[-1] == "execute"


def test_one_more_process_is_bound_as_the_first_is(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(user=User("7", "8"), working_directory="/srv", environment=("A=1",))
    first = planner.plan(spec, last_capability=40).steps
    another = planner.exec_plan(spec, last_capability=40).steps
    assert [step.operation for step in another[:3]] == ["join", "own-credentials", "keyring"]
    assert another[3:] == first[[step.operation for step in first].index("pivot") + 1 :]
    assert not another[0].arguments["namespaces"] & c.CLONE_NEWPID  # it was born there
    assert another[0].arguments["namespaces"] | c.CLONE_NEWPID == planner.namespaces(spec) | c.CLONE_NEWCGROUP


def test_a_terminal_is_made_before_anything_of_the_users_is_mounted(make_spec: Callable[..., Spec]) -> None:
    """CVE-2025-52565, and what can be opened by its name there is what was made."""
    spec = make_spec(terminal=True, tmpfs=(Tmpfs.parse("/srv", ""),))
    found = operations(spec)
    steps = planner.plan(spec, last_capability=40, window=(24, 80)).steps
    made = steps[found.index("terminal")].arguments
    assert made == {"rows": 24, "columns": 80, "console": True}
    consoles = [s.arguments["source"] for s in steps if s.arguments.get("target") == "/dev/console"]
    assert consoles == [planner.CONSOLE]
    devpts = next(i for i, s in enumerate(steps) if s.arguments.get("kind") == "devpts")
    users = [i for i, s in enumerate(steps) if s.operation == "bind" or s.arguments.get("target") == "/srv"]
    assert devpts < found.index("terminal") < min(users)
    assert "stdio" not in found
    assert found.index("fresh-process") < found.index("controlling-terminal") < found.index("user")


def test_a_command_has_a_terminal_only_if_it_asks_for_one(make_spec: Callable[..., Spec]) -> None:
    container = make_spec(terminal=True)
    plain, own = Execution(("sh",)).inside(container), Execution(("sh",), terminal=True).inside(make_spec())
    assert "stdio" in [step.operation for step in planner.exec_plan(plain, last_capability=40).steps]
    steps = planner.exec_plan(own, last_capability=40, window=(24, 80)).steps
    operations = [step.operation for step in steps]
    assert operations.index("join") < operations.index("terminal") < operations.index("controlling-terminal")
    assert planner.environment(own)["TERM"] == "xterm"
    assert "TERM" not in planner.environment(plain)


def test_only_root_keeps_capabilities(make_spec: Callable[..., Spec]) -> None:
    def kept(spec: Spec) -> list[str]:
        steps = planner.plan(spec, last_capability=40).steps
        keep: list[str] = next(s.arguments["keep"] for s in steps if s.operation == "capabilities")
        return keep
def arguments(spec: Spec, operation: str) -> dict[str, Any]:
    steps = planner.plan(spec, last_capability=40).steps
    return next(step.arguments for step in steps if step.operation == operation)


def test_what_was_asked_for_by_name_reaches_other_users(make_spec: Callable[..., Spec]) -> None:
    assert arguments(make_spec(), "capabilities") == {"keep": list(capability.DEFAULT), "ambient": [], "loader": []}
    asked = make_spec(security=Security(capabilities=("NET_RAW",), ambient=("NET_RAW",)), user=User("1000"))
    assert arguments(asked, "capabilities") == {"keep": ["NET_RAW"], "ambient": ["NET_RAW"], "loader": []}
    assert arguments(asked, "user") == {"user": "1000", "group": "", "keep": True}


def test_unmasked_paths_are_left_as_they_are(make_spec: Callable[..., Spec]) -> None:
    some = make_spec(security=Security(unmask=("/proc/kcore", "/proc/sys/")))
    assert "/proc/kcore" not in arguments(some, "masked-paths")["paths"]
    assert "/proc/keys" in arguments(some, "masked-paths")["paths"]
    assert "/proc/sys" not in arguments(some, "read-only-paths")["paths"]
    everything = operations(make_spec(security=Security(unmask=("ALL",))))
    assert not {"masked-paths", "read-only-paths"} & set(everything)


def test_usual_sysctls_give_way_to_the_asked_for(make_spec: Callable[..., Spec]) -> None:
    def values(spec: Spec) -> dict[str, str]:
        steps = planner.plan(spec, last_capability=40).steps
        return {s.arguments["name"]: s.arguments["value"] for s in steps if s.operation == "sysctl"}

    assert values(make_spec()) == planner.SYSCTLS
    found = values(make_spec(security=Security(sysctls=(("net/ipv4/ping_group_range", "1 0"),))))
    assert found == {"net.ipv4.ip_unprivileged_port_start": "0", "net/ipv4/ping_group_range": "1 0"}


def test_deeper_mounts_come_later(make_spec: Callable[..., Spec]) -> None:
    source = HostPath("/srv/a", 1, 2)
    spec = make_spec(binds=(Bind(source, "/a/b/c"), Bind(source, "/z")), tmpfs=(Tmpfs("/a/b"), Tmpfs("/run")))
    targets = [s.arguments["target"] for s in planner.plan(spec, last_capability=40).steps if "target" in s.arguments]
    assert targets[-5:-1] == ["/run", "/z", "/a/b", "/a/b/c"]


def test_without_a_user_namespace_none_is_made(make_spec: Callable[..., Spec]) -> None:
    assert planner.namespaces(make_spec()) & c.CLONE_NEWUSER
    assert not planner.namespaces(make_spec(security=Security(user_namespace="host"))) & c.CLONE_NEWUSER


def test_without_no_new_privs_the_filter_needs_a_capability(make_spec: Callable[..., Spec]) -> None:
    """It is not in the bounding set: execve(2) takes it away. tests/kernel/test_seccomp.py shows it."""
    for user in (User(), User("1000")):
        found = make_spec(user=user, security=Security(no_new_privileges=False))
        steps = {s.operation: s.arguments for s in planner.privileges(found, 40)}
        assert steps["capabilities"] == {"keep": list(capability.DEFAULT), "ambient": [], "loader": ["SYS_ADMIN"]}
        assert steps["bounding-set"]["keep"] == list(capability.DEFAULT)
        assert steps["user"]["keep"] is True
        assert "no-new-privileges" not in steps


def test_an_unconfined_payload_has_no_filter(make_spec: Callable[..., Spec]) -> None:
    steps = planner.privileges(make_spec(security=Security(seccomp="unconfined")), 40)
    assert "seccomp" not in {s.operation for s in steps}


def test_the_default_capabilities_are_podmans_eleven() -> None:
    assert capabilities.mask(list(capability.DEFAULT)) == 0x800405FB


def test_a_declared_variable_wins(make_spec: Callable[..., Spec]) -> None:
    found = planner.environment(make_spec(environment=("PATH=/x", "A=b=c")))
    assert found == {"PATH": "/x", "container": "mctl", "A": "b=c"}


def test_a_plan_can_be_sent_and_read(make_spec: Callable[..., Spec]) -> None:
    plan = planner.plan(make_spec(), last_capability=40)
    assert [step["operation"] for step in json.loads(plan.encode())] == operations(make_spec())
    assert "mount proc on /proc" in plan.describe()
