# SPDX-License-Identifier: GPL-3.0-or-later
"""What a configuration makes the stage do, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from mctld.oci import plan
from mctld.oci.inside.operations import OPERATIONS
from unit.oci.bundles import IDS, USER, changed, read

AROUND = plan.Surroundings(last_capability=40, state={"id": "x"})
HOOK = [{"path": "/bin/true"}]


def steps(around: plan.Surroundings = AROUND, **changes: Any) -> list[dict[str, Any]]:
    return plan.for_creation(read(changed(**changes)), around)


def operations(around: plan.Surroundings = AROUND, **changes: Any) -> list[str]:
    return [step["operation"] for step in steps(around, **changes)]


def test_every_operation_is_known() -> None:
    everything = steps(
        hostname="x", domainname="y", process__terminal=True, process__noNewPrivileges=True,
        process__apparmorProfile="z", process__rlimits=[{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
        process__scheduler={"policy": "SCHED_BATCH"}, root__readonly=True, linux__seccomp={"defaultAction": "x"},
        linux__sysctl={"net.core.somaxconn": "1"}, linux__maskedPaths=["/x"], linux__readonlyPaths=["/y"],
        linux__rootfsPropagation="shared", hooks={"createContainer": HOOK, "startContainer": HOOK},
        mounts=[{"destination": "/proc", "type": "proc"}, {"destination": "/sys/fs/cgroup", "type": "cgroup"}],
    )  # fmt: skip
    assert {step["operation"] for step in everything} <= OPERATIONS.keys()
    assert len({step["operation"] for step in everything}) > 25


ORDER = [
    ("bundle-root", "mount"), ("mount", "node"), ("node", "link"), ("link", "paths-read-only"),
    ("paths-read-only", "masked-paths"), ("masked-paths", "report"), ("report", "proceed"),
    ("proceed", "cgroup-namespace"), ("cgroup-namespace", "cgroup"), ("cgroup", "hooks"), ("hooks", "root-read-only"),
    ("root-read-only", "pivot"), ("pivot", "inherited"), ("inherited", "bounding-set"), ("directory", "become-user"),
    ("bounding-set", "become-user"), ("become-user", "capability-sets"), ("capability-sets", "no-new-privileges"),
    ("no-new-privileges", "command"), ("command", "wait"), ("wait", "limits"), ("limits", "seccomp"),
    ("seccomp", "execute"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), ORDER)
def test_the_order(before: str, after: str) -> None:
    found = operations(
        process__noNewPrivileges=True, process__rlimits=[{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
        root__readonly=True, linux__seccomp={"x": 1}, linux__maskedPaths=["/x"], linux__readonlyPaths=["/y"],
        hooks={"createContainer": HOOK}, mounts=[
            {"destination": "/sys/fs/cgroup", "type": "cgroup"}, {"destination": "/proc", "type": "proc"}],
    )  # fmt: skip
    assert found.index(before) < found.index(after)


def test_mounts_keep_their_order() -> None:
    targets = ["/b", "/a/c", "/a"]
    made = steps(mounts=[{"destination": target, "type": "tmpfs"} for target in targets])
    assert [step["arguments"]["target"] for step in made if step["operation"] == "mount"] == targets


def test_startcontainer_hooks_run_between_the_start_and_the_execution() -> None:
    found = operations(hooks={"startContainer": HOOK})
    assert found.index("wait") < found.index("hooks") < found.index("execute")


def test_root_of_a_user_namespace() -> None:
    found = operations(linux__namespaces=USER, linux__uidMappings=IDS, linux__gidMappings=IDS)
    assert found[0] == "become-root"
    assert operations()[0] == "out-of-reach"


@pytest.mark.parametrize(("no_new_privileges", "loader"), [(True, []), (False, ["SYS_ADMIN"])])
def test_who_may_load_a_filter(*, no_new_privileges: bool, loader: list[str]) -> None:
    made = steps(linux__seccomp={"x": 1}, process__noNewPrivileges=no_new_privileges)
    (sets,) = (step for step in made if step["operation"] == "capability-sets")
    assert sets["arguments"]["loader"] == loader


def test_a_dev_of_the_hosts_own_is_left_alone() -> None:
    found = operations(mounts=[{"destination": "/dev", "source": "/dev", "options": ["rbind"]}])
    assert "node" not in found
    assert "link" not in found


def test_without_a_process_there_is_nothing_to_start() -> None:
    assert operations(process=None)[-1] == "wait"


@pytest.mark.parametrize(
    ("around", "absent"),
    [
        (plan.Surroundings(last_capability=40, state={}, keyring=False), "keyring"),
        (plan.Surroundings(last_capability=40, state={}, pivot=False), "pivot"),
    ],
)
def test_options_of_the_caller(around: plan.Surroundings, absent: str) -> None:
    assert absent in operations()
    assert absent not in operations(around)


def test_labels_of_selinux_go_to_what_has_none_of_its_own() -> None:
    mounts = [{"destination": f"/{kind}", "type": kind} for kind in ("proc", "tmpfs", "mqueue", "devpts")]
    made = steps(mounts=mounts, linux__mountLabel="system_u:object_r:container_file_t:s0")
    labelled = {step["arguments"]["kind"]: step["arguments"]["data"] for step in made if step["operation"] == "mount"}
    label = [["context", "system_u:object_r:container_file_t:s0"]]
    assert labelled == {"proc": [], "tmpfs": label, "mqueue": [], "devpts": label}


@pytest.mark.parametrize(
    ("flags", "notified", "operation"), [(0, "", "seccomp"), (2, "", "flagged-seccomp"), (2, "x", "asking-seccomp")]
)
def test_how_a_filter_is_loaded(flags: int, notified: str, operation: str) -> None:
    around = plan.Surroundings(last_capability=40, state={}, notified=notified, filter_flags=flags)
    (found,) = (step for step in steps(around, linux__seccomp={"x": 1}) if step["operation"].endswith("seccomp"))
    assert found["operation"] == operation
    assert found["arguments"].get("flags", 0) == flags
