# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes an administrator's consent, told in words, and what everybody may have unasked."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from mctld import capability
from mctld.dangers import dangers
from mctld.device import Device
from mctld.limits import Limits
from mctld.mounts import Bind, HostPath, Tmpfs
from mctld.networking import Networking
from mctld.security import RLIMIT_INFINITY, Security
from mctld.spec import Rootfs, Spec, User

if TYPE_CHECKING:
    from collections.abc import Callable

HERS = HostPath("/home/alice/data", 1, 3, (1000, 1000))
THEIRS = HostPath("/srv/theirs", 1, 4)


@pytest.fixture
def ones_own(make_spec: Callable[..., Spec]) -> Callable[..., Spec]:
    return lambda **changes: make_spec(**{"rootfs": Rootfs("/home/alice/root", 1, 2, (1000, 1000)), **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"binds": (Bind(HERS, "/data"),)},
        {"binds": (Bind(HERS, "/etc", read_only=True),)},
        {"tmpfs": (Tmpfs("/x", 1 << 44, executable=True),), "shm_size": 1 << 40},
        {"read_only": True, "init": True, "user": User("1000")},
        {"hosts": (("a", "1.2.3.4"),), "name_servers": ("1.1.1.1",), "search_domains": ("a",)},
        {"limits": Limits(memory_max=1 << 40), "auto_remove": True},
    ],
)
def test_what_everybody_may(ones_own: Callable[..., Spec], changes: dict[str, Any]) -> None:
    assert dangers(ones_own(**changes)) == ()


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"])
def test_the_hosts_loopback_is_asked_by_nobody_unasked(ones_own: Callable[..., Spec], server: str) -> None:
    spec = ones_own(name_servers=("1.1.1.1", server))
    assert dangers(spec) == (f"the host's own name server at {server}",)
    unconnected = replace(spec, networking=Networking(()))  # it may be connected later
    assert dangers(unconnected) == (f"the host's own name server at {server}",)


@pytest.mark.parametrize(
    "security",
    [
        {"capabilities": ()},
        {"capabilities": capability.DEFAULT, "ambient": ("CHOWN",)},
        {"capabilities": ("CHOWN", "SETFCAP")},
        {"seccomp": "strict"},
        {"oom_score_adjust": 0},
        {"oom_score_adjust": 1000},
        {"rlimits": (("NOFILE", 524_288, 524_288), ("CORE", RLIMIT_INFINITY, RLIMIT_INFINITY), ("NICE", 0, 0))},
        {"rlimits": (("MEMLOCK", 0, 8 << 20),)},
        {"sysctls": (("net.ipv4.ip_forward", "1"),)},
    ],
)
def test_walls_that_everybody_may_choose(ones_own: Callable[..., Spec], security: dict[str, Any]) -> None:
    assert dangers(ones_own(security=Security(**security))) == ()


@pytest.mark.parametrize(
    ("security", "words"),
    [
        ({"capabilities": (*capability.DEFAULT, "NET_RAW")}, "capabilities NET_RAW"),
        ({"capabilities": ("SYS_TIME", "SYS_ADMIN")}, "capabilities SYS_TIME SYS_ADMIN"),
        ({"seccomp": "unconfined"}, "no system call filter"),
        ({"seccomp": "{}"}, "a system call filter of the caller's own"),
        ({"unmask": ("/proc/kcore", "/proc/sys")}, "access to /proc/kcore /proc/sys"),
        ({"unmask": ("ALL",)}, "access to ALL"),
        ({"user_namespace": "host"}, "the host's user ids"),
        ({"user_namespace": "100000"}, "user ids from 100000 on"),
        ({"oom_score_adjust": -1}, "protection from the OOM killer"),
        ({"rlimits": (("NOFILE", 1024, 524_289),)}, "a resource limit NOFILE of 524289"),
        ({"rlimits": (("NICE", 0, 1),)}, "a resource limit NICE of 1"),
        ({"rlimits": (("RTPRIO", 1, 1),)}, "a resource limit RTPRIO of 1"),
        ({"rlimits": (("MEMLOCK", 0, RLIMIT_INFINITY),)}, "a resource limit MEMLOCK of unlimited"),
    ],
)
def test_what_takes_consent(ones_own: Callable[..., Spec], security: dict[str, Any], words: str) -> None:
    assert dangers(ones_own(security=Security(**security))) == (words,)


def test_files_of_others(ones_own: Callable[..., Spec]) -> None:
    binds = (Bind(HERS, "/a"), Bind(THEIRS, "/b"), Bind(THEIRS, "/c", read_only=True))
    found = dangers(ones_own(rootfs=Rootfs("/srv/x", 1, 2), binds=binds))
    assert found == (
        "files of other users in /srv/x",
        "files of other users in /srv/theirs",
        "files of other users in /srv/theirs (read-only)",
    )


def test_a_machine_is_the_hosts(ones_own: Callable[..., Spec]) -> None:
    assert dangers(ones_own(machine=True)) == ("a place among the host's machines (systemd-machined)",)


def test_devices(ones_own: Callable[..., Spec]) -> None:
    fuse = Device("/dev/fuse", 10, 229, block=False, target="/dev/fuse")
    devices = (fuse, Device("/dev/sda", 8, 0, block=True, target="/dev/x", permissions="r"))
    assert dangers(ones_own(devices=devices)) == ("the device /dev/fuse", "the device /dev/sda (read-only)")


def test_set_user_id_programs_are_roots_only_among_the_hosts_ids(ones_own: Callable[..., Spec]) -> None:
    loose = Security(no_new_privileges=False)
    assert dangers(ones_own(security=loose)) == ()
    found = dangers(ones_own(security=replace(loose, user_namespace="host")))
    assert "set-user-ID programs that become the host's root" in found


def test_nothing_of_a_specification_is_forgotten() -> None:
    """A new field: is it a danger? Say so here, and in dangers.py."""
    harmless = {
        "name", "command", "environment", "working_directory", "hostname", "user", "limits", "labels", "terminal",
        "stop_signal", "timeout_stop_usec", "auto_remove", "read_only", "tmpfs", "shm_size", "init", "hosts",
        "name_servers", "search_domains", "restart", "health", "volumes", "sd_notify", "credentials",
    }  # fmt: skip
    assert {f.name for f in fields(Spec)} - harmless == {
        "rootfs", "binds", "devices", "networking", "security", "machine", "activation",
    }  # fmt: skip
    assert {f.name for f in fields(Security)} == {
        "capabilities", "ambient", "seccomp", "no_new_privileges", "unmask", "user_namespace", "oom_score_adjust",
        "rlimits", "sysctls",
    }  # fmt: skip
