# SPDX-License-Identifier: GPL-3.0-or-later
"""The service dies at each step of a container's life: the container is then fully there or fully gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.guest import Machine

    from .conftest import Mctl

CRASHING = Path(__file__).parents[1] / "crashing.py"
DROP_IN = "/run/systemd/system/mctld.service.d"
CREATE = ("store:Store.add", "copies:Copies.keep")
START = (
    "lifecycle.start:start", "runtime.launch:Spawner.spawn", "systemd.journal:publish", "lifecycle.start:_attach_scope",
    "systemd.manager:Manager.start_transient", "lifecycle.resources:prepare", "lifecycle.networks:Networks.attach",
    "runtime.launch:Stage.begin", "runtime.launch:Stage.finish", "lifecycle.running:Running._must_become",
)  # fmt: skip
STOP = (
    "lifecycle.running:Running._signal", "lifecycle.running:Running.conclude",
    "lifecycle.running:Running._settle", "runtime.launch:Spawner.forget", "lifecycle.networks:Networks.detached",
)  # fmt: skip
REMOVE = (
    "lifecycle.container:Container._forget", "store:Store.remove", "copies:Copies.drop",
    "lifecycle.registry:Registry._remove",
)  # fmt: skip
JOIN, LEAVE, AMEND = "lifecycle.networks:Networks._join", "lifecycle.networks:Networks._leave", "store:Store.amend"
UPDATE = (
    "systemd.manager:Manager.set_properties", "lifecycle.devices:plug", "runtime.rlimits:RunningLimits.apply",
    "systemd.service:write_drop_in",
)  # fmt: skip
STEPS = (*CREATE, *START, *STOP, *REMOVE, JOIN, LEAVE, AMEND, *UPDATE)
CASES = [
    *(("create", step) for step in CREATE),
    *(("start", step) for step in START),
    *(("stop", step) for step in STOP),
    *(("rm", step) for step in REMOVE),
]
# What may be there after a verb that was cut off, and what was there before it.
MAY_BE = {
    "create": {"", "created"},
    "start": {"created", "running"},
    "stop": {"running", "exited"},
    "rm": {"", "exited"},
}


@pytest.fixture(scope="module")
def crashing(session_machine: Machine) -> Iterator[None]:
    """The service as it is, and a hook around each step."""
    run = " ".join(("/run/crashing.py", *STEPS))
    unit = f"[Service]\nExecStart=\nExecStart=/usr/bin/python3 -Is {run}\n"
    session_machine.run(["sh", "-c", "cat > /run/crashing.py"], input=CRASHING.read_bytes())
    session_machine.run(["sh", "-c", f"mkdir -p {DROP_IN}; cat > {DROP_IN}/crash.conf"], input=unit.encode())
    session_machine.run(["sh", "-c", "systemctl daemon-reload; systemctl restart mctld.service"])
    yield
    remove = f"rm -r {DROP_IN} /run/crashing.py; systemctl daemon-reload; systemctl restart mctld.service"
    session_machine.run(["sh", "-c", remove])


def standing(mctl: Mctl, name: str) -> dict[str, Any]:
    found = json.loads(mctl("ps", "-a", "--json=short", "--filter", f"name=^{name}$").text)
    return found[0] if found else {}


@pytest.mark.allow_journal(r".*")  # whatever it has to say about having been killed
@pytest.mark.parametrize("moment", ["<", ">"])
@pytest.mark.parametrize(("verb", "step"), CASES)
def test_it_is_fully_there_or_fully_gone(crashing: None, mctl: Mctl, verb: str, step: str, moment: str) -> None:
    create = ["create", "--name", "web", "-p", "8080:80", mctl.rootfs, "sleep", "1000"]
    before = {"create": [], "start": [create], "stop": [create, ["start", "web"]]}
    for words in before.get(verb, [create, ["start", "web"], ["stop", "-t", "0", "web"]]):
        mctl(*words)
    mctl.shell(f"echo '{step}{moment}' > /run/mctl-crash-at")
    words = {"create": create, "stop": ["stop", "-t", "0", "web"]}.get(verb, [verb, "web"])
    mctl(*words, check=False)
    assert mctl.shell("cat /run/mctl-crash-at", check=False).returncode, "the step was never reached"
    found = standing(mctl, "web")
    state = found.get("State", "")
    processes = mctl.shell("cat /sys/fs/cgroup/mctl.slice/mctl-u0.slice/mctl-web.scope/cgroup.procs", check=False).text
    if state == "running":
        assert str(found["MainPID"]) in processes.split()
    elif state == "exited":
        assert (found["ExitHow"], found["ExitStatus"]) == ("killed", 9)
    assert state in MAY_BE[verb]
    if not state:
        mctl(*create)
    if state != "running":
        assert not processes
        mctl("start", "web")
    assert mctl("exec", "web", "echo", "alive").text == "alive\n"
    mctl("rm", "-f", "web")


@pytest.mark.allow_journal(r".*")
@pytest.mark.parametrize(
    ("verb", "step"),
    [("connect", f"{JOIN}<"), ("connect", f"{JOIN}>"), ("connect", f"{AMEND}>"),
     ("disconnect", f"{AMEND}<"), ("disconnect", f"{LEAVE}<"), ("disconnect", f"{LEAVE}>")],
)  # fmt: skip
def test_a_network_is_wholly_connected_or_not_at_all(crashing: None, mctl: Mctl, verb: str, step: str) -> None:
    mctl("network", "create", "front")
    mctl.run("sleep", "1000", options=["-d", "--name", "web", "-p", "8080:80"])
    if verb == "disconnect":
        mctl("network", "connect", "front", "web")
    mctl.shell(f"echo '{step}' > /run/mctl-crash-at")
    network = {"connect": "front", "disconnect": "bridge"}[verb]  # by which it has its way out, and its port
    mctl("network", verb, network, "web", check=False)
    assert mctl.shell("cat /run/mctl-crash-at", check=False).returncode, "the step was never reached"
    check_connections(mctl)
    if (network in mctl.properties("web")["Networks"]) is (verb == "disconnect"):
        mctl("network", verb, network, "web")
        check_connections(mctl)
    mctl("rm", "-f", "web")
    mctl("network", "rm", "front")


@pytest.mark.allow_journal(r".*")
@pytest.mark.parametrize("step", [*(f"{step}{moment}" for step in UPDATE for moment in "<>"), f"{AMEND}<", f"{AMEND}>"])
def test_an_update_wholly_is_or_never_was(crashing: None, mctl: Mctl, step: str) -> None:
    """A device comes, one goes, one changes; limits of processes; and the unit's file, since it is a service."""
    given = [f"/dev/{name}:/dev/given/{name}" for name in ("fuse", "full")]
    devices = [word for each in given for word in ("--device", each)]
    mctl("create", "--name", "web", "--ulimit", "nofile=66:99", *devices, mctl.rootfs, "sleep", "1000")
    mctl("enable", "web")
    mctl.shell("systemctl start mctl@web.service")
    old = told(mctl)
    mctl.shell(f"echo '{step}' > /run/mctl-crash-at")
    changes = ["--device-rm", "/dev/given/fuse", "--device", "/dev/zero:/dev/given/full:r", "--ulimit", "nofile=55:99"]
    mctl("update", *changes, "--device", "/dev/null:/dev/given/null", "web", check=False)
    assert mctl.shell("cat /run/mctl-crash-at", check=False).returncode, "the step was never reached"
    found = told(mctl)
    assert (found == old) is (step != f"{AMEND}>")
    mctl("stop", "-t", "0", "web")
    mctl.shell("systemctl start mctl@web.service")
    assert told(mctl) == found
    mctl("rm", "-f", "web")


def told(mctl: Mctl) -> list[object]:
    """What the service says of it, its unit's file, and what is so inside and in the kernel."""
    properties = mctl.properties("web")
    unit = mctl.shell("systemctl cat mctl@web.service").text
    inside = mctl("exec", "web", "sh", "-c", "stat -c '%n %t:%T' /dev/given/*; ulimit -n").text
    first = mctl.shell(f"grep 'open files' /proc/{properties['MainPID']}/limits | tr -s ' '").text
    assert f"Max open files {properties['Rlimits']['NOFILE'][0]} " in first
    assert [f"{target} " in inside for _, target, _ in properties["Devices"]] == [True] * inside.count("/dev/given")
    return [properties["Devices"], properties["Rlimits"], unit, inside]


def check_connections(mctl: Mctl) -> None:
    """What is known of it is what it has, inside and outside, and its port is published there."""
    told = mctl.properties("web")
    assert [network for network, _, _ in told["Addresses"]] == told["Networks"]
    assert len(mctl("exec", "web", "ls", "/sys/class/net").text.split()) == 1 + len(told["Networks"])
    assert len(mctl.shell("ip -o link | grep -o ': mctl[0-9a-f]\\{10\\}'").text.split()) == 2 * len(told["Networks"])
    inside = mctl("exec", "web", "ip", "addr").text
    for _, address, address6 in told["Addresses"]:
        assert f"inet {address}/" in inside
        assert f"inet6 {address6}/" in inside
        mctl.shell(f"busybox ping -c 1 -W 10 {address} && busybox ping -c 1 -W 10 {address6}")
    gateway = told["Addresses"][0][1].rpartition(".")[0]
    assert f"default via {gateway}.1 " in mctl("exec", "web", "ip", "route").text
    assert f"{told['Addresses'][0][1]} . 80" in mctl.shell("nft list map inet mctl any4").text


ATTACH_DEAD = """
import os, subprocess, time
pid = os.fork()
if pid == 0:
    os._exit(0)
time.sleep(0.2)
PID1 = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"]
ASKED = ["mctl-dead.scope", "fail", "2", "PIDs", "au", "1", str(pid), "Slice", "s", "mctl-u0.slice", "0"]
subprocess.run(["busctl", "call", *PID1, "StartTransientUnit", "ssa(sv)a(sa(sv))", *ASKED], check=True)
"""


def test_a_scope_that_nobody_has_lived_in_is_let_go(mctl: Mctl) -> None:
    """PID 1 attaches the dead without a word, and never hears that the cgroup is empty."""
    mctl.machine.run(["python3", "-c", ATTACH_DEAD])
    there = "sleep 1; systemctl list-units --all --no-legend mctl-dead.scope"
    assert mctl.shell(there).text, "systemd notices by itself now: lifecycle/vacancy.py is needed no more"
    mctl.shell("systemctl restart mctld.service")
    assert mctl.shell(there).text == ""
