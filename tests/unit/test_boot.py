# SPDX-License-Identifier: GPL-3.0-or-later
"""What PID 1 is told of a container that is a service."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mctld.bounds import INFINITY
from mctld.errors import InvalidArgs, SetupFailed
from mctld.lifecycle import bootunit, place
from mctld.limits import Limits
from mctld.mounts import Bind, HostPath
from mctld.networking import Networking
from mctld.quotas import Quotas
from mctld.restart import RestartPolicy
from mctld.runtime.launch import Status
from mctld.spec import Rootfs, Spec
from mctld.store import Record
from mctld.systemd import service

if TYPE_CHECKING:
    from pathlib import Path

ROOT = Rootfs("/srv/web", 1, 2)
DEFAULTS: dict[str, Any] = {
    "limits": Limits(), "devices": None, "stop_signal": 15, "timeout_stop_usec": 10_000_000,
    "restart": RestartPolicy(), "paths": (), "networked": False, "awaited": False, "counted": False,
}  # fmt: skip


def drop_in(**given: Any) -> list[str]:
    return service.drop_in("web", 1000, **{**DEFAULTS, **given}).splitlines()


def test_the_unit_knows_its_containers_slice_signal_and_time() -> None:
    lines = drop_in(stop_signal=10, timeout_stop_usec=2_500_000)
    assert {"Slice=mctl-u1000.slice", "KillSignal=10", "TimeoutStopSec=2500000us", "TasksMax=2048"} <= set(lines)
    assert not [line for line in lines if line.startswith(("Wants=", "Restart=", "Memory", "Device"))]
    assert {"TimeoutStopSec=infinity"} <= set(drop_in(timeout_stop_usec=INFINITY))
    assert {"TimeoutStopSec=1us"} <= set(drop_in(timeout_stop_usec=0))  # 0 is no bound at all, systemd.service(5)
    assert "IPAccounting=yes" in drop_in(counted=True)
    assert "IPAccounting=yes" not in drop_in()
    assert {"Wants=network-online.target", "After=network-online.target"} <= set(drop_in(networked=True))


def test_limits_are_written_as_systemd_reads_them() -> None:
    limits = Limits(
        memory_max=64 << 20, cpu_quota_per_sec_usec=1_234_500, cpu_quota_period_usec=50_000, cpu_set="0-1",
        tasks_max=INFINITY, io_read_bandwidth_max=(("/dev/vda", 1_000), ("/dev/vdb", 2_000)),
    )  # fmt: skip
    assert drop_in(limits=limits)[-7:] == [
        "MemoryMax=67108864", "CPUQuota=123.45%", "CPUQuotaPeriodSec=50000us", "TasksMax=infinity", "AllowedCPUs=0-1",
        "IOReadBandwidthMax=/dev/vda 1000", "IOReadBandwidthMax=/dev/vdb 2000",
    ]  # fmt: skip


def test_a_start_may_wait_for_more_than_the_execution() -> None:
    assert "ExecStartPost=/usr/libexec/mctl-await web" in drop_in(awaited=True)
    assert not [line for line in drop_in() if line.startswith("Exec")]


def test_devices_are_closed_but_for_those_given() -> None:
    lines = drop_in(devices=())
    assert "DevicePolicy=strict" in lines
    assert "DeviceAllow=/dev/char/1:3 rw" in lines


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("no", []), ("on-failure:3", ["Restart=on-failure", "RestartSec=2s"]),
     ("always", ["Restart=always", "RestartSec=2s"]), ("unless-stopped", ["Restart=always", "RestartSec=2s"])],
)  # fmt: skip
def test_restarts_become_the_units(policy: str, expected: list[str]) -> None:
    assert [line for line in drop_in(restart=RestartPolicy.parse(policy)) if "Restart" in line] == expected


def test_paths_that_need_quoting_are_cut_to_what_does_not() -> None:
    """A line break in a unit's file would be root's command; the mount that is needed is most likely the same."""
    hostile = ["/srv/a\nExecStart=/bin/evil", "/home/alice/two words/x", "/data/100%/y", "/plain/z", "/\\"]
    lines = [line for line in drop_in(paths=hostile) if line.startswith("RequiresMountsFor")]
    assert lines == [f"RequiresMountsFor={path}" for path in ("/", "/data", "/home/alice", "/plain/z", "/srv")]
    assert not any("evil" in line for line in drop_in(paths=hostile))


def test_what_cannot_be_cut_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    device = SimpleNamespace(node="/dev/x\nExecStart=/bin/evil", permissions="rw")
    with pytest.raises(SetupFailed, match="cannot hold"):
        drop_in(devices=[device])


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(service, "UNITS", str(tmp_path))
    return tmp_path


def test_the_file_is_everybodys_to_read_and_ours_to_remove(units: Path) -> None:
    old = os.umask(0o077)
    try:
        service.write_drop_in("web", "one")
        service.write_drop_in("web", "two")
    finally:
        os.umask(old)
    path = units / "mctl@web.service.d" / "50-mctl.conf"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o644, 0o755)
    assert service.read_drop_in("web") == "two"
    assert service.written() == ["web"]
    assert [child.name for child in path.parent.iterdir()] == ["50-mctl.conf"]
    (path.parent / "override.conf").touch()
    assert service.remove_drop_in("web")
    assert not service.remove_drop_in("web")
    assert (path.parent / "override.conf").exists()
    assert service.written() == []


class FakeSystemd:
    """PID 1 as far as a unit can tell."""

    def __init__(self, **properties: Any) -> None:
        self.properties = {
            "SubState": "start", "ControlPID": 77, "NeedDaemonReload": False, "Slice": "mctl-u1000.slice",
            "ControlGroup": "/mctl.slice/mctl-u1000.slice/mctl@web.service", **properties,
        }  # fmt: skip
        self.calls: list[str] = []

    async def service(self, unit: str) -> dict[str, Any]:
        assert unit == "mctl@web.service"
        return self.properties

    def __getattr__(self, name: str) -> Any:
        async def called(*_: object) -> None:
            self.calls.append(name)

        return called


def record(**given: Any) -> Record:
    spec = Spec("web", ROOT, ("sh",), **given)
    return Record("0" * 32, 1000, 1_000_000, 1, spec)


def machinery(systemd: FakeSystemd) -> Any:
    settings = SimpleNamespace(containers="/var/lib/mctl/containers", quotas=Quotas())
    return SimpleNamespace(systemd=systemd, settings=settings)


def prepare(systemd: FakeSystemd, **given: Any) -> place.Place:
    return asyncio.run(bootunit.prepare(machinery(systemd), record(**given)))


def test_nobody_but_root_holds_up_a_shutdown_for_long() -> None:
    asked = record(timeout_stop_usec=INFINITY)
    assert "TimeoutStopSec=600s" in bootunit.settings(machinery(FakeSystemd()), asked).replace("600000000us", "600s")
    assert "TimeoutStopSec=infinity" in bootunit.settings(machinery(FakeSystemd()), replace(asked, owner_uid=0))


@pytest.mark.usefixtures("units")
def test_a_unit_that_knows_all_is_entered() -> None:
    systemd = FakeSystemd()
    service.write_drop_in("web", bootunit.settings(machinery(systemd), record()))
    found = prepare(systemd)
    assert found == place.Place("mctl@web.service", "/mctl.slice/mctl-u1000.slice/mctl@web.service", 77)
    assert found.is_service
    assert systemd.calls == []


@pytest.mark.usefixtures("units")
def test_a_unit_that_knows_nothing_is_told() -> None:
    systemd = FakeSystemd()
    prepare(systemd)
    assert systemd.calls == ["reload"]
    assert service.read_drop_in("web") == bootunit.settings(machinery(systemd), record())


@pytest.mark.usefixtures("units")
def test_a_unit_in_the_wrong_slice_is_started_anew_and_but_once() -> None:
    systemd = FakeSystemd(Slice="mctl-u0.slice", ControlGroup="/mctl.slice/mctl-u0.slice/mctl@web.service")
    with pytest.raises(SetupFailed, match=r"in mctl-u0\.slice"):
        prepare(systemd)
    assert systemd.calls == ["reload", "restart_soon"]
    assert prepare(systemd).control_group.startswith("/mctl.slice/mctl-u0.slice/")  # an administrator wants it there
    assert systemd.calls == ["reload", "restart_soon"]


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize("state", [{"SubState": "running", "ControlPID": 0}, {"SubState": "stop-post"}])
def test_only_pid_1_can_ask_for_it(state: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgs, match=r"is not being started: systemctl start mctl@web\.service"):
        prepare(FakeSystemd(**state))


@pytest.mark.usefixtures("units")
def test_what_removes_itself_is_neither_enabled_nor_started() -> None:
    with pytest.raises(InvalidArgs, match="--rm"):
        asyncio.run(bootunit.enable(machinery(FakeSystemd()), record(auto_remove=True)))
    with pytest.raises(InvalidArgs, match="--rm"):
        prepare(FakeSystemd(), auto_remove=True)
    assert service.read_drop_in("web") is None


def test_what_changes_nothing_makes_pid_1_read_nothing(units: Path) -> None:
    systemd = FakeSystemd()
    asyncio.run(bootunit.disable(machinery(systemd), "web", keep=False))
    asyncio.run(bootunit.renew(machinery(systemd), record()))
    assert systemd.calls == []
    asyncio.run(bootunit.enable(machinery(systemd), record()))
    assert systemd.calls == ["enable", "reload"]
    wants = units / "multi-user.target.wants"
    wants.mkdir()
    (wants / "mctl@web.service").symlink_to("/nowhere")
    asyncio.run(bootunit.enable(machinery(systemd), record()))
    asyncio.run(bootunit.renew(machinery(systemd), record()))
    assert systemd.calls == ["enable", "reload"]
    asyncio.run(bootunit.renew(machinery(systemd), record(limits=Limits(tasks_max=9))))
    assert systemd.calls == ["enable", "reload", "reload"]
    asyncio.run(bootunit.disable(machinery(systemd), "web", keep=True))
    assert systemd.calls[3:] == ["disable", "reload"]
    assert service.read_drop_in("web") is not None


@pytest.mark.usefixtures("units")
def test_units_of_containers_that_are_gone_are_swept() -> None:
    systemd = FakeSystemd()
    for name in ("web", "gone"):
        service.write_drop_in(name, "x")
    asyncio.run(bootunit.sweep(machinery(systemd), {"web"}))
    assert service.written() == ["web"]
    assert systemd.calls == ["stop_rest", "disable", "reload", "reset_failed"]


def test_the_settings_name_all_that_has_to_be_mounted() -> None:
    wanted = record(
        binds=(Bind(HostPath("/data/web", 1, 2), "/data"),), networking=Networking(()), limits=Limits(tasks_max=9)
    )
    lines = bootunit.settings(machinery(FakeSystemd()), wanted).splitlines()
    mounts = [line.removeprefix("RequiresMountsFor=") for line in lines if line.startswith("RequiresMountsFor=")]
    assert mounts == ["/data/web", "/srv/web", "/var/lib/mctl/containers"]
    assert "TasksMax=9" in lines
    assert not any("network-online" in line for line in lines)


@pytest.mark.parametrize(
    ("told", "expected"),
    [({"ExecMainPID": 42, "ExecMainCode": 1, "ExecMainStatus": 3}, Status(42, 1, 3)),
     ({"ExecMainPID": 43, "ExecMainCode": 1, "ExecMainStatus": 0}, Status()),  # that was another run
     ({"ExecMainPID": 42, "ExecMainCode": 0, "ExecMainStatus": 0}, Status())],
)  # fmt: skip
def test_an_end_is_what_pid_1_says_of_this_very_process(told: dict[str, int], expected: Status) -> None:
    systemd = FakeSystemd(**told)
    assert asyncio.run(bootunit.status(machinery(systemd), "mctl@web.service", 42, -1)) == expected
    assert systemd.calls == ["let_go"]


@pytest.mark.parametrize(("status", "code"), [(3, os.CLD_EXITED), (9, os.CLD_KILLED)])
def test_the_kernel_knows_where_pid_1_has_forgotten(status: int, code: int) -> None:
    """Where it is Linux 6.15 or later; before that nobody knows."""
    pid = os.fork()
    if pid == 0:
        if code == os.CLD_KILLED:
            os.kill(os.getpid(), status)
        os._exit(status)
    pidfd = os.pidfd_open(pid)
    os.waitpid(pid, 0)
    systemd = FakeSystemd(ExecMainPID=0, ExecMainCode=0, ExecMainStatus=0)
    found = asyncio.run(bootunit.status(machinery(systemd), "mctl@web.service", pid, pidfd))
    os.close(pidfd)
    recent = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 15)
    assert found == (Status(pid, code, status) if recent else Status())


def test_a_place_is_known_by_its_cgroup() -> None:
    group = "/mctl.slice/mctl-u1000.slice/"
    found = [place.found(record(), path) for path in (
        f"{group}mctl-web.scope", f"{group}mctl@web.service", "/system.slice/mctl@web.service",
        f"{group}mctl@other.service", f"{group}mctl-other.scope/mctl@web.service", "/",
        f"{group}mctl-web.scope/init.scope", f"{group}mctl@web.service/a/b",
    )]  # fmt: skip
    assert [None if there is None else there.unit for there in found] == [
        "mctl-web.scope", "mctl@web.service", "mctl@web.service", None, None, None,
        "mctl-web.scope", "mctl@web.service",
    ]  # fmt: skip
