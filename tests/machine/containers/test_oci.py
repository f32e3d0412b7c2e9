# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl-oci on a host with systemd: scopes, cgroups by hand, limits, and what is left of them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.guest import Machine, Result

BUNDLE = "/srv/bundle"
CONFIG = f"{BUNDLE}/config.json"
MIB = 1 << 20
SAY_READY = "import socket, sys; socket.socket(1, 2).sendto(b'READY=1', sys.argv[1])"


class Runtime:
    def __init__(self, machine: Machine, rootfs: str) -> None:
        self.machine = machine
        make = f"rm -rf {BUNDLE}; mkdir {BUNDLE}; cp -a {rootfs} {BUNDLE}/rootfs; mctl-oci spec --bundle {BUNDLE}"
        machine.run(["sh", "-ec", make], timeout=120)

    def __call__(self, *words: str, check: bool = True, timeout: float = 120) -> Result:
        return self.machine.run(["mctl-oci", *words], check=check, timeout=timeout)

    def configure(self, *args: str, resources: dict[str, Any] | None = None, cgroup: str = "") -> None:
        document = json.loads(self.machine.read(CONFIG))
        document["process"] |= {"args": list(args), "terminal": False}
        document["linux"]["resources"] = resources or {}
        document["linux"]["cgroupsPath"] = cgroup
        self.machine.write(CONFIG, json.dumps(document))

    def run(self, *options: str, check: bool = True) -> Result:
        return self("run", *options, "--bundle", BUNDLE, "one", check=check)

    def detach(self, name: str = "one") -> None:
        """Its output goes to a file: it keeps the descriptors."""
        script = f"mctl-oci run --detach --bundle {BUNDLE} {name} < /dev/null > {BUNDLE}/output-{name} 2>&1"
        self.machine.run(["sh", "-c", script], timeout=120)

    def numbers(self, device: str) -> list[int]:
        """Major and minor."""
        return [int(word, 16) for word in self.machine.run(["stat", "-c", "%t %T", device]).text.split()]

    def cgroups(self) -> str:
        return self.machine.run(["find", "/sys/fs/cgroup", "-name", "*mctl-oci*"]).text

    def becomes(self, status: str) -> None:
        deadline = time.monotonic() + 60
        while (found := json.loads(self("state", "one").stdout)["status"]) != status:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)


@pytest.fixture
def runtime(machine: Machine, rootfs: str) -> Iterator[Runtime]:
    made = Runtime(machine, rootfs)
    yield made
    for name in made("list", "--quiet").text.split():
        made("delete", "--force", name)
    assert made.cgroups() == ""
    machine.run(["rm", "-r", BUNDLE])


def test_a_scope_of_systemd(runtime: Runtime) -> None:
    runtime.configure("sleep", "1000")
    runtime.detach()
    pid = json.loads(runtime("state", "one").stdout)["pid"]
    shown = runtime.machine.run(["systemctl", "show", "-P", "ControlGroup", "mctl-oci-one.scope"]).text
    assert shown == "/system.slice/mctl-oci-one.scope\n"
    assert runtime.machine.read(f"/sys/fs/cgroup{shown.strip()}/cgroup.procs").split() == [str(pid).encode()]
    runtime("pause", "one")
    runtime.becomes("paused")
    runtime("resume", "one")
    runtime.becomes("running")
    assert json.loads(runtime("events", "--stats", "one").stdout)["data"]["cpu"]["usage"]["total"] > 0
    runtime("kill", "one", "KILL")
    runtime.becomes("stopped")
    runtime("delete", "one")


def test_ps_is_that_of_ps(runtime: Runtime) -> None:
    """Of the whole host's table the rows of the container, with the columns that are asked for."""
    runtime.configure("sh", "-c", "sleep 1000 & exec sleep 2000")
    runtime.detach()
    pids = json.loads(runtime("ps", "--format", "json", "one").stdout)
    heading, *rows = runtime("ps", "one").text.splitlines()
    assert heading.split()[:3] == ["UID", "PID", "PPID"]
    assert sorted(int(row.split()[1]) for row in rows) == sorted(pids)
    assert sorted(row.split()[-1] for row in rows) == ["1000", "2000"]
    commands = runtime("ps", "one", "-eo", "comm,pid").text.splitlines()
    assert [row.split()[0] for row in commands] == ["COMMAND", "sleep", "sleep"]
    assert b"choose other options" in runtime("ps", "one", "-eo", "comm", check=False).stderr


@pytest.mark.parametrize("cgroup", ["/mctl-oci-test/one", "system.slice:mctl-oci:one"], ids=["by-hand", "scope"])
def test_a_limit_that_fails_leaves_nothing(runtime: Runtime, cgroup: str) -> None:
    """The cgroup is there already when the kernel refuses."""
    runtime.configure("true", resources={"unified": {"memory.nonsense": "5"}}, cgroup=cgroup)
    failed = runtime.run(check=False)
    assert (failed.returncode, b"memory.nonsense" in failed.stderr) == (1, True)
    assert runtime.cgroups() in ("", "/sys/fs/cgroup/mctl-oci-test\n")  # those above are not ours to remove
    runtime.machine.run(["rmdir", "/sys/fs/cgroup/mctl-oci-test"], check=False)


RICH: dict[str, Any] = {
    "process": {
        "user": {"uid": 1000, "gid": 1001, "additionalGids": [5], "umask": 0o027}, "cwd": "/tmp", "oomScoreAdj": 77,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}], "noNewPrivileges": True,
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL"]},
    },
    "hostname": "box", "domainname": "example", "root": {"path": "rootfs", "readonly": True},
    "linux": {
        "sysctl": {"net.ipv4.ip_default_ttl": "42"}, "timeOffsets": {"boottime": {"secs": 1_000_000_000}},
        "maskedPaths": ["/proc/version", "/etc"], "readonlyPaths": ["/proc/sys"],
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]},
    },
}  # fmt: skip
TELL = """
id -u; id -G; umask; pwd; ulimit -n; ulimit -Hn; hostname; cat /proc/sys/kernel/domainname /proc/self/oom_score_adj
sed -n 's/^CapBnd:[\t]*//p; s/^NoNewPrivs:[\t]*//p; s/^Seccomp:[\t]*//p' /proc/self/status
cat /proc/sys/net/ipv4/ip_default_ttl; ls /etc | wc -l; wc -c < /proc/version
[ $(cut -d. -f1 /proc/uptime) -gt 1000000000 ] && echo later; touch /tmp/file && stat -c %a /tmp/file
touch /x 2>&1 | grep -o 'Read-only.*'; (echo 1 > /proc/sys/net/ipv4/ip_forward) 2>&1 | grep -o 'Read-only.*'
hostname other 2>&1 | grep -o 'not implemented'
exit 7
"""
TOLD = [
    "1000", "1001 5", "0027", "/tmp", "100", "200", "box", "example", "77", "0000000000000021", "1", "2", "42", "0",
    "0", "later", "640", "Read-only file system", "Read-only file system", "not implemented",
]  # fmt: skip


@pytest.mark.parametrize("mapped", [False, True], ids=["root", "user-namespace"])
def test_much_of_a_configuration_at_once(runtime: Runtime, *, mapped: bool) -> None:
    """Property by property tests/kernel/oci has it, on the test's own host; this is on each distribution's Python."""
    runtime.configure("sh", "-c", TELL)
    document = json.loads(runtime.machine.read(CONFIG))
    document |= {key: RICH[key] for key in ("hostname", "domainname", "root")}
    document["mounts"].append({"destination": "/tmp", "type": "tmpfs", "options": ["mode=1777", "size=64k"]})
    document["process"] |= RICH["process"]
    document["linux"] |= RICH["linux"]
    document["linux"]["namespaces"] += [{"type": "time"}] + [{"type": "user"}] * mapped
    if mapped:
        ids = [{"containerID": 0, "hostID": 200_000, "size": 65536}]
        document["linux"] |= {"uidMappings": ids, "gidMappings": ids}
        runtime.machine.run(["chown", "-R", "200000:200000", f"{BUNDLE}/rootfs"])
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >> {BUNDLE}/told"], "timeout": 60}
    document["hooks"] = {"createRuntime": [hook], "poststop": [hook]}
    runtime.machine.write(CONFIG, json.dumps(document))
    done = runtime.run(check=False)
    assert (done.text.splitlines(), done.returncode) == (TOLD, 7)
    told = runtime.machine.read(f"{BUNDLE}/told").decode().replace("}{", "}\n{").splitlines()
    assert [json.loads(line)["status"] for line in told] == ["creating", "stopped"]


OWN = """
cd /sys/fs/cgroup; mkdir inner; sleep 1000 & echo $! > inner/cgroup.procs && echo moved; stat -c %u .
(echo 5 > cgroup.max.depth) 2> /dev/null || echo no
"""


@pytest.mark.parametrize("cgroup", ["/mctl-oci-own", "system.slice:mctl-oci:own"], ids=["by-hand", "scope"])
def test_a_hierarchy_to_write_to_is_the_containers_own(runtime: Runtime, cgroup: str) -> None:
    """What an init of its own needs: to make groups below, and no higher limit. What it leaves behind goes too."""
    runtime.configure("sh", "-c", OWN, cgroup=cgroup)
    document = json.loads(runtime.machine.read(CONFIG))
    for mount in document["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"].remove("ro")
    ids = [{"containerID": 0, "hostID": 200_000, "size": 65536}]
    document["linux"] |= {"uidMappings": ids, "gidMappings": ids}
    document["linux"]["namespaces"].append({"type": "user"})
    runtime.machine.run(["chown", "-R", "200000:200000", f"{BUNDLE}/rootfs"])
    runtime.machine.write(CONFIG, json.dumps(document))
    assert runtime.run().text.split() == ["moved", "0", "no"]
    assert runtime.cgroups() == ""


FILES = ("memory.max", "memory.swap.max", "memory.low", "memory.high", "cpu.max", "cpu.weight", "cpuset.cpus",
         "cpuset.cpus.effective", "pids.max", "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max")  # fmt: skip
GROUPS = {  # by container: what is asked for, and where it is then
    "one": ("system.slice:mctl-oci:one", "/system.slice/mctl-oci-one.scope"),
    "two": ("/mctl-oci-two", "/mctl-oci-two"),
}
ASKED = {
    "memory": {"limit": 64 * MIB, "swap": 64 * MIB, "reservation": 8 * MIB},
    "cpu": {"quota": 50_000, "period": 100_000, "shares": 2, "cpus": "0"},
    "pids": {"limit": 20},
    "unified": {"memory.high": str(48 * MIB)},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 6 * MIB}],
}
HUGE = [str(6 * MIB)] * 2
GIVEN = [str(64 * MIB), "0", str(8 * MIB), str(48 * MIB), "50000 100000", "1", "0", "0", "20", *HUGE]
CHANGED = [str(128 * MIB), "0", str(8 * MIB), str(48 * MIB), "20000 100000", "1", "1", "1", "30", *HUGE]
UPDATE = ("--memory", str(128 * MIB), "--memory-swap", str(128 * MIB), "--cpu-quota", "20000", "--cpuset-cpus", "1",
          "--pids-limit", "30")  # fmt: skip


@pytest.mark.qemu
def test_limits(runtime: Runtime) -> None:
    """In force for the first instruction, with both managers of cgroups; and a daemon-reload takes no change back."""
    disk = dict(zip(("major", "minor"), runtime.numbers("/dev/vda"), strict=True))
    block = {"throttleReadBpsDevice": [{**disk, "rate": MIB}], "throttleWriteIOPSDevice": [{**disk, "rate": 50}]}
    script = f"cd /sys/fs/cgroup; cat {' '.join(FILES)} io.max; exec sleep 1000"
    for name, (asked, _) in GROUPS.items():
        runtime.configure("sh", "-c", script, resources={**ASKED, "blockIO": block}, cgroup=asked)
        runtime.detach(name)
    for name in GROUPS:
        output = f"{BUNDLE}/output-{name}"
        until = f"until [ $(wc -l < {output}) -ge {len(FILES) + 1} ]; do sleep 0.1; done; cat {output}"
        *given, rates = runtime.machine.run(["sh", "-c", until], timeout=60).text.splitlines()
        assert given == GIVEN, name
        assert rates == f"{disk['major']}:{disk['minor']} rbps={MIB} wbps=max riops=max wiops=50", name
        runtime("update", *UPDATE, name)
    runtime.machine.run(["systemctl", "daemon-reload"], timeout=120)
    for _, group in GROUPS.values():
        show = f"cd /sys/fs/cgroup{group}; cat {' '.join(FILES)}"
        assert runtime.machine.run(["sh", "-c", show]).text.splitlines() == CHANGED, group
    told = json.loads(runtime("events", "--stats", "one").stdout)["data"]
    assert told["memory"]["usage"]["limit"] == 128 * MIB
    assert 0 < told["memory"]["usage"]["usage"] < 128 * MIB
    assert told["pids"] == {"current": 1, "limit": 30}
    assert told["cpu"]["usage"]["total"] > 0


@pytest.mark.parametrize("options", [(), ("--detach",)], ids=["foreground", "detached"])
def test_a_service_that_says_when_it_is_ready(runtime: Runtime, options: tuple[str, ...]) -> None:
    """Type=notify: the payload's READY=1 reaches systemd, and a detached payload becomes the main process."""
    runtime.configure("sleep", "1000")
    unit = ["systemd-run", "--quiet", "--no-block", "--unit=oci-notify", "--property=Type=notify", "--collect"]
    runtime.machine.run([*unit, "mctl-oci", "run", *options, "--bundle", BUNDLE, "one"])
    state = ["systemctl", "show", "-P", "ActiveState", "oci-notify"]
    socket = "/run/mctl-oci/one/notify/notify.sock"
    runtime.machine.run(["sh", "-c", f"until [ -S {socket} ]; do sleep 0.1; done"], timeout=60)
    runtime.becomes("running")
    assert runtime.machine.run(state).text == "activating\n"
    pid = json.loads(runtime("state", "one").stdout)["pid"]
    runtime.machine.run(["python3", "-c", SAY_READY, f"/proc/{pid}/root/run/notify/notify.sock"])
    until = f"until [ $({' '.join(state)}) = active ]; do sleep 0.1; done"
    runtime.machine.run(["sh", "-c", until], timeout=60)
    main = int(runtime.machine.run(["systemctl", "show", "-P", "MainPID", "oci-notify"]).text)
    assert (main == pid) == bool(options)
    runtime("kill", "one", "KILL")
    until = "while systemctl --quiet is-active oci-notify; do sleep 0.1; done"
    runtime.machine.run(["sh", "-c", until], timeout=60)
    runtime.machine.run(["systemctl", "reset-failed", "oci-notify"], check=False)


def test_a_label_that_is_not_to_be_had(runtime: Runtime) -> None:
    """Refused by name: before anything is made where there is no AppArmor, else if no such profile is loaded."""
    runtime.configure("cat", "/proc/self/attr/current")
    document = json.loads(runtime.machine.read(CONFIG))
    document["process"]["apparmorProfile"] = "no-such"
    runtime.machine.write(CONFIG, json.dumps(document))
    there = runtime.machine.run(["cat", "/sys/module/apparmor/parameters/enabled"], check=False).text.strip() == "Y"
    refused = runtime.run(check=False)
    assert refused.returncode == 1
    sentence = "take the label 'no-such'" if there else "apparmorProfile is 'no-such': this host runs without AppArmor"
    assert sentence in refused.stderr.decode()
    if there:
        document["process"]["apparmorProfile"] = "unconfined"
        runtime.machine.write(CONFIG, json.dumps(document))
        assert runtime.run().text.strip("\0\n") == "unconfined"
