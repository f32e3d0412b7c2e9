# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits are in force before the first instruction, and measurably so. They need every cgroup controller: qemu."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Mctl

MIB = 1 << 20
SCOPES = "/sys/fs/cgroup/mctl.slice/mctl-u0.slice"
WAIT = "busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s"
BUSY = ("sh", "-c", "while :; do :; done")
DISK = "/dev/vda"


def group(mctl: Mctl, name: str, file: str) -> str:
    return mctl.shell(f"cat {SCOPES}/mctl-{name}.scope/{file}").text.strip()


@pytest.mark.qemu
def test_the_first_instruction_is_within_the_limits(mctl: Mctl) -> None:
    options = [
        "--rm", "--memory", "64m", "--swap", "96m", "--memory-high", "48m", "--memory-low", "8m", "--oom-group",
        "--cpu", "0.5", "--cpu-weight", "50", "--cpuset", "0", "--pids", "20",
    ]  # fmt: skip
    files = (
        "memory.max", "memory.swap.max", "memory.high", "memory.low", "memory.oom.group", "cpu.max", "cpu.weight",
        "cpuset.cpus", "cpuset.cpus.effective", "pids.max",
    )  # fmt: skip
    result = mctl.run("cat", *(f"/sys/fs/cgroup/{name}" for name in files), options=options)
    assert result.text.splitlines() == [
        str(64 * MIB), str(32 * MIB), str(48 * MIB), str(8 * MIB), "1", "50000 100000", "50", "0", "0", "20",
    ]  # fmt: skip


@pytest.mark.qemu
def test_dockers_words(mctl: Mctl) -> None:
    options = [
        "--rm", "--cpu-quota", "20000", "--cpu-period", "40000", "--cpu-shares", "512", "--memory-reservation", "5m",
        "--cpuset-cpus", "1", "--device-read-bps", f"{DISK}:1m", "--device-write-iops", f"{DISK}:50",
    ]  # fmt: skip
    files = ("cpu.max", "cpu.weight", "memory.low", "cpuset.cpus", "io.max")
    *lines, rates = mctl.run("cat", *(f"/sys/fs/cgroup/{name}" for name in files), options=options).text.splitlines()
    assert lines == ["20000 40000", "59", str(5 * MIB), "1"]
    assert rates.split()[1:] == [f"rbps={MIB}", "wbps=max", "riops=max", "wiops=50"]


@pytest.mark.qemu
def test_processes_and_threads_are_bounded_exactly(mctl: Mctl) -> None:
    """The shell that is refused a child ends; what is left, with the last one, is exactly as many as allowed."""
    script = "sh -c 'i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i+1)); done'; sleep 1000; true"
    mctl.run("sh", "-c", script, options=["-d", "--name", "many", "--pids", "12"])
    scope = f"{SCOPES}/mctl-many.scope"
    enough = f"grep -q 'max [1-9]' {scope}/pids.events && grep -qx 12 {scope}/pids.current"
    mctl.shell(f"until {enough}; do sleep 0.05; done", timeout=30)
    mctl("update", "--pids", "14", "many")
    mctl("exec", "many", "true")
    assert group(mctl, "many", "pids.current") == "12"
    assert group(mctl, "many", "pids.max") == "14"


@pytest.mark.qemu
def test_a_fork_bomb_that_forks_first_stays_within_its_limit(mctl: Mctl) -> None:
    bomb = "b() { b | b & }; b; sleep 1000"
    mctl.run("sh", "-c", bomb, options=["-d", "--name", "bomb", "--pids", "30"])
    scope = f"{SCOPES}/mctl-bomb.scope"
    sample = f"for i in $(seq 200); do cat {scope}/pids.current; done | sort -n | tail -n 1; cat {scope}/pids.events"
    most, _, refused = mctl.shell(sample).text.split()[:3]
    assert 1 <= int(most) <= 30
    assert int(refused) > 0
    mctl("rm", "-f", "bomb")


@pytest.mark.qemu
def test_what_allocates_too_much_is_killed(mctl: Mctl) -> None:
    for number in range(5):  # PID 1 is about to remove the cgroup that tells the reason
        options = ["--name", f"glutton-{number}", "--memory", "32m"]
        result = mctl.run("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1", options=options, check=False)
        assert result.returncode == 128 + 9
        assert "memory" in result.stderr.decode()
        assert mctl.properties(f"glutton-{number}")["ExitHow"] == "oom"


@pytest.mark.qemu
def test_the_whole_group_is_killed_if_asked_for(mctl: Mctl) -> None:
    script = "dd if=/dev/zero of=/dev/null bs=200M count=1; exit 3"
    for options, end in (([], ("exited", 3)), (["--oom-group"], ("oom", 9))):
        mctl.run("sh", "-c", script, options=["--name", "group", "--memory", "32m", *options], check=False)
        found = mctl.properties("group")
        assert (found["ExitHow"], found["ExitStatus"]) == end
        mctl("rm", "group")


@pytest.mark.qemu
def test_swap_is_none_where_only_memory_is_limited(mctl: Mctl) -> None:
    result = mctl.run("cat", "/sys/fs/cgroup/memory.swap.max", options=["--rm", "--memory", "64m"])
    assert result.text == "0\n"


SECONDS = 3
WINDOWS = 5


def rates(mctl: Mctl, name: str, file: str, key: str) -> list[float]:
    """How much of `key` in a second of the machine's time, window by window."""
    sample = f"cut -d' ' -f1 /proc/uptime; tr '\\n' ' ' < {SCOPES}/mctl-{name}.scope/{file}; echo"
    script = f"sleep 0.5; for i in $(seq {WINDOWS + 1}); do {sample}; sleep {SECONDS}; done"
    lines = mctl.shell(script, timeout=120).text.splitlines()
    times = [float(line) for line in lines[::2]]
    counts = [sum(map(int, re.findall(rf"\b{key}[ =](\d+)", line))) for line in lines[1::2]]
    windows = zip(times, times[1:], counts, counts[1:], strict=False)
    return [(count - before) / (now - then) for then, now, before, count in windows]


def bounded(found: list[float], limit: float, tolerance: float) -> None:
    """Not more than allowed in all; as much in some window: an emulated processor is not always let run by its host.

    A single window may begin and end in the middle of one of the kernel's periods.
    """
    mean = sum(found) / len(found)
    print(f"{limit:g}: {min(found) / limit:.3f} to {max(found) / limit:.3f}, {mean / limit:.3f} in all")
    assert mean <= limit * (1 + tolerance)
    assert max(found) >= limit * (1 - tolerance)


@pytest.mark.qemu
def test_cpu_time_is_what_was_asked_for_and_changes_live(mctl: Mctl) -> None:
    mctl.run(*BUSY, options=["-d", "--name", "busy", "--cpu", "0.3"])
    bounded(rates(mctl, "busy", "cpu.stat", "usage_usec"), 300_000, 0.05)
    mctl("update", "--cpu", "0.15", "busy")
    bounded(rates(mctl, "busy", "cpu.stat", "usage_usec"), 150_000, 0.05)


@pytest.mark.qemu
def test_weights_share_a_cpu(mctl: Mctl) -> None:
    for name, weight in (("light", "100"), ("heavy", "300")):
        mctl.run(*BUSY, options=["-d", "--name", name, "--cpuset", "0", "--cpu-weight", weight])
    read = f"for n in light heavy; do grep usage_usec {SCOPES}/mctl-$n.scope/cpu.stat; done"
    words = mctl.shell(f"{read}; sleep 5; {read}").text.split()
    light, heavy = int(words[5]) - int(words[1]), int(words[7]) - int(words[3])
    print(f"weights 300:100 gave {heavy / light:.3f}")
    assert heavy / light == pytest.approx(3, rel=0.15)


@pytest.mark.qemu
def test_writing_is_as_fast_as_was_asked_for_and_changes_live(mctl: Mctl) -> None:
    script = "while :; do dd if=/dev/zero of=/file bs=64k count=64 oflag=direct conv=notrunc 2> /dev/null; done"
    mctl.run("sh", "-c", script, options=["-d", "--name", "writer", "--io-write-bps", f"{DISK}:2m"])
    bounded(rates(mctl, "writer", "io.stat", "wbytes"), 2 * MIB, 0.1)
    mctl("update", "--io-write-bps", f"{DISK}:1m", "writer")
    bounded(rates(mctl, "writer", "io.stat", "wbytes"), MIB, 0.1)
    mctl("update", "--io-write-bps", f"{DISK}:max", "writer")
    assert "wbps=1048576" not in group(mctl, "writer", "io.max")


@pytest.mark.qemu
def test_reading_is_counted(mctl: Mctl) -> None:
    again = "while :; do dd if=/file of=/dev/null bs=4k iflag=direct; done"
    script = f"exec 2> /dev/null; dd if=/dev/zero of=/file bs=64k count=32 oflag=direct; {again}"
    mctl.run("sh", "-c", script, options=["-d", "--name", "reader", "--io-read-iops", f"{DISK}:50"])
    bounded(rates(mctl, "reader", "io.stat", "rios"), 50, 0.1)


@pytest.mark.qemu
def test_a_weight_for_disks_is_in_force_or_refused(mctl: Mctl) -> None:
    """Where the kernel has neither io.cost nor bfq there is nobody to heed it."""
    result = mctl.run("cat", "/sys/fs/cgroup/io.weight", options=["--rm", "--blkio-weight", "1000"], check=False)
    if result.returncode:
        assert "could not enforce --io-weight" in result.stderr.decode()
    else:
        assert result.text == "default 10000\n"


@pytest.mark.qemu
def test_limits_change_while_it_runs_and_stay(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "web", "--memory", "64m", "--cpuset", "0"])
    mctl(
        "update", "--memory", "96m", "--memory-high", "80m", "--pids", "9", "--cpuset", "1", "--cpu-weight", "7",
        "--io-read-bps", f"{DISK}:3m", "--oom-group", "web",
    )  # fmt: skip
    expected = {
        "memory.max": str(96 * MIB), "memory.high": str(80 * MIB), "memory.swap.max": "0", "pids.max": "9",
        "cpuset.cpus": "1", "cpu.weight": "7", "memory.oom.group": "1",
    }  # fmt: skip
    for restart in (False, True):
        if restart:
            mctl.shell("systemctl restart mctld.service")
            mctl("kill", "web")
            mctl.shell(f"{WAIT} web")
            mctl("start", "web")
        assert {file: group(mctl, "web", file) for file in expected} == expected
        assert f"rbps={3 * MIB}" in group(mctl, "web", "io.max")
    found = mctl.properties("web")
    assert (found["MemoryMax"], found["TasksMax"], found["CPUSet"]) == (96 * MIB, 9, "1")
    mctl("update", "--memory-high", "max", "--oom-group=false", "--cpuset", "", "--io-read-bps", f"{DISK}:max", "web")
    assert group(mctl, "web", "memory.high") == "max"
    assert group(mctl, "web", "memory.oom.group") == "0"
    assert group(mctl, "web", "cpuset.cpus.effective") == "0-1"
    assert "rbps=3" not in group(mctl, "web", "io.max")


@pytest.mark.qemu
def test_a_change_that_cannot_be_changes_nothing(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "web", "--memory", "64m", "--pids", "9"])
    for words, sentence in (
        (["--memory-high", "65m", "--pids", "5"], "--memory-high 68157440 is above --memory 67108864"),
        (["--pids", "5", "--cpuset", "0-7"], "processor 2 is not there: this host has 0-1"),
        (["--pids", "5", "--io-read-bps", "/dev/no:1m"], "the device /dev/no cannot be found"),
        (["--pids", "5", "--io-read-bps", "/dev/null:1m"], "/dev/null is not a block device"),
    ):
        refused = mctl("update", *words, "web", check=False)
        assert refused.returncode == 1
        assert sentence in refused.stderr.decode()
    assert group(mctl, "web", "pids.max") == "9"
    assert mctl.properties("web")["TasksMax"] == 9


@pytest.mark.qemu
def test_lowering_memory_below_what_is_used_kills(mctl: Mctl) -> None:
    """As the manual says: the kernel reclaims, and kills where that is not enough."""
    script = "dd if=/dev/zero of=/dev/shm/file bs=1M count=40 2> /dev/null; echo full; sleep 1000"
    mctl.run("sh", "-c", script, options=["-d", "--name", "web", "--memory", "64m"])
    mctl.shell(f"until [ $(cat {SCOPES}/mctl-web.scope/memory.current) -gt 40000000 ]; do sleep 0.1; done")
    mctl("update", "--memory", "16m", "web", check=False)
    mctl.shell(f"{WAIT} web")
    assert mctl.properties("web")["ExitHow"] == "oom"


ASK = "import mmap, sys; held = mmap.mmap(-1, int(sys.argv[1]) << 21, flags=0x40022); print('mapped', flush=True); {}"
PAGES = ("-v", "/usr:/usr:ro", "-v", "/lib64:/lib64:ro", "-v", "/lib:/lib:ro")


@pytest.fixture
def python(mctl: Mctl) -> Iterator[Callable[..., str]]:
    """Eight huge pages, and a container that may take two of them and has taken one."""
    mctl.shell("mkdir -p /srv/pages; sysctl -q -w vm.nr_hugepages=8; grep -qx 8 /proc/sys/vm/nr_hugepages")
    holding = ASK.format("import time; time.sleep(1000)")
    command = ["/usr/bin/python3", "-IBSc", holding, "1"]
    mctl.run(*command, options=["-d", "--name", "pages", "--hugetlb", "2m:4m", *PAGES], rootfs="/srv/pages")
    mctl.shell("until journalctl -q CONTAINER_NAME=pages | grep -q mapped; do sleep 0.1; done", timeout=60)

    def more(pages: int) -> str:
        result = mctl("exec", "pages", "/usr/bin/python3", "-IBSc", ASK.format("pass"), str(pages), check=False)
        return result.text.strip() or result.stderr.decode().strip().splitlines()[-1]

    yield more
    mctl.shell("sysctl -q -w vm.nr_hugepages=0")


@pytest.mark.qemu
def test_huge_pages_are_bounded_and_the_bound_changes_live(mctl: Mctl, python: Callable[..., str]) -> None:
    def files() -> list[str]:
        return [group(mctl, "pages", f"hugetlb.2MB.{name}") for name in ("rsvd.max", "max", "rsvd.current")]

    assert files() == [str(4 * MIB), str(4 * MIB), str(2 * MIB)]
    assert python(1) == "mapped"
    assert "Cannot allocate memory" in python(2)
    mctl("update", "--hugetlb", "2m:8m", "pages")
    assert python(3) == "mapped"
    assert mctl.properties("pages")["HugeTLBMax"] == {"2MB": 8 * MIB}
    refused = mctl("update", "--hugetlb", "2m:0", "pages", check=False)
    assert refused.returncode == 1
    assert b"hugetlb.2MB.rsvd.max does not take 0: " in refused.stderr
    assert files()[:2] == [str(8 * MIB)] * 2
    mctl.shell("systemctl daemon-reload; systemctl set-property --runtime mctl-u0.slice TasksMax=5000")
    assert files()[:2] == [str(8 * MIB)] * 2
    mctl.shell("systemctl revert mctl-u0.slice")
    mctl("update", "--hugetlb", "2m:max", "pages")
    assert files()[:2] == ["max", "max"]
    assert python(5) == "mapped"
    for size, sentence in (
        ("32m", "there are no huge pages of 32MB: this host has 1GB and 2MB"),
        ("2m:1", "--hugetlb '1:0' is not a size"),
    ):
        refused = mctl("create", "--hugetlb", f"{size}:0", mctl.rootfs, "true", check=False)
        assert sentence in refused.stderr.decode()


@pytest.mark.qemu
def test_the_bound_of_huge_pages_is_a_services_too(mctl: Mctl) -> None:
    mctl("create", "--name", "pages", "--hugetlb", "2m:6m", mctl.rootfs, "sleep", "1000")
    mctl("enable", "pages")
    mctl.shell("systemctl start mctl@pages.service")
    where = mctl.shell("systemctl show -P ControlGroup mctl@pages.service").text.strip()
    assert mctl.shell(f"cat /sys/fs/cgroup{where}/hugetlb.2MB.max").text == f"{6 * MIB}\n"
    mctl("update", "--hugetlb", "2m:2m", "pages")
    assert mctl.shell(f"cat /sys/fs/cgroup{where}/hugetlb.2MB.max").text == f"{2 * MIB}\n"
    mctl("rm", "-f", "pages")


@pytest.mark.nspawn
def test_a_limit_that_cannot_be_enforced_is_refused(mctl: Mctl) -> None:
    controllers = mctl.shell("cat /sys/fs/cgroup/cgroup.controllers").text.split()
    if "memory" in controllers:
        pytest.skip("this host's nspawn machines have a memory controller")
    for options, controller in (
        (["--memory", "64m"], "memory"),
        (["--cpuset", "0"], "cpuset"),
        (["--io-weight", "10"], "io"),
        (["--io-read-iops", "/dev/null:1"], "io"),
        (["--hugetlb", "2m:0"], "hugetlb"),
    ):
        for verb in ("run", "create"):
            result = mctl(verb, *options, mctl.rootfs, "true", check=False)
            assert result.returncode == 125
            assert f"no {controller} controller" in result.stderr.decode()
