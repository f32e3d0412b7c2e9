# SPDX-License-Identifier: GPL-3.0-or-later
"""The host and other containers: nothing of them shows."""

from __future__ import annotations

import os
import socket

from .registry import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
HOST_PATHS = ("/var/lib/", "/srv", "/root", "/home", "/run/mctl")


def _lines(path: str) -> list[str]:
    with open(path) as file:
        return file.read().splitlines()


@probe("processes")
def processes() -> list[str]:
    """All commands in /proc."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(_lines(f"/proc/{name}/comm")[0])
        except OSError:
            found.append("?")
    return sorted(set(found))


@probe("root-of-process-1")
def root_of_process_1() -> str:
    here, there = os.stat("/"), os.stat("/proc/1/root/")
    return "own" if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) else "ANOTHER"


@probe("mounts-show-host-paths")
def mounts_show_host_paths() -> list[str]:
    """Fields 4 (root) and 10 (source) of proc_pid_mountinfo(5): where on the host something comes from."""
    found = []
    for line in _lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        for path in (before.split()[3], after.split()[1]):
            if path.startswith(HOST_PATHS):
                found.append(path)
    return found


@probe("mount-options-show-host-paths")
def mount_options_show_host_paths() -> list[str]:
    """The last field of mountinfo: overlayfs prints its directories there as it was given them."""
    options = [option for line in _lines("/proc/self/mountinfo") for option in line.rpartition(" ")[2].split(",")]
    return [option for option in options if "=/" in option and "=/proc/self/fd/" not in option]


@probe("mounts-propagate")
def mounts_propagate() -> list[str]:
    """shared: or master: would tie our mounts to the host's."""
    optional = [line.partition(" - ")[0].split()[6:] for line in _lines("/proc/self/mountinfo")]
    return sorted({field.split(":")[0] for fields in optional for field in fields})


@probe("mounts")
def mounts() -> list[str]:
    found = []
    for line in _lines("/proc/self/mountinfo"):
        fields = line.split()
        found.append(f"{fields[4]} {line.partition(' - ')[2].split()[0]} {fields[5]}")
    return found


@probe("abstract-sockets")
def abstract_sockets() -> list[str]:
    """CVE-2020-15257: containerd's shim listened on one."""
    return sorted({line.split()[-1] for line in _lines("/proc/net/unix") if line.split()[-1].startswith("@")})


@probe("hostname")
def hostname() -> str:
    return socket.gethostname()


@probe("interfaces")
def interfaces() -> list[str]:
    return sorted(name for _, name in socket.if_nameindex())


@probe("shared-memory")
def shared_memory() -> list[str]:
    """System V segments, semaphores, queues; POSIX shared memory and queues."""
    found = [f"{kind}: {line}" for kind in ("shm", "sem", "msg") for line in _lines(f"/proc/sysvipc/{kind}")[1:]]
    for directory in ("/dev/shm", "/dev/mqueue"):
        found += [f"{directory}/{name}" for name in os.listdir(directory)] if os.path.isdir(directory) else []
    return found


@probe("namespaces")
def namespaces() -> dict[str, str]:
    return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS}


@probe("user-namespace")
def user_namespace() -> list[list[int]]:
    """[[inside, outside, count]]"""
    return [[int(number) for number in line.split()] for line in _lines("/proc/self/uid_map")]


@probe("cgroup-paths")
def cgroup_paths() -> list[str]:
    """Seen from its own cgroup namespace a container is at the top."""
    return [line for line in _lines("/proc/self/cgroup") if not line.endswith(":/")]


@probe("service-sockets")
def service_sockets() -> list[str]:
    """The sockets by which a host is governed."""
    places = ("/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/notify", "/run/docker.sock",
              "/run/mctl", "/run/systemd/journal", "/var/run/docker.sock", "/run/udev", "/run/host")  # fmt: skip
    return [path for path in places if os.path.lexists(path)]


@probe("descriptors-lead-out")
def descriptors_lead_out() -> list[str]:
    """Directories among the descriptors of any process that shows (CVE-2024-21626)."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for name in names:
            path = f"/proc/{pid}/fd/{name}"
            if os.path.isdir(path) and int(pid) != os.getpid():
                found.append(f"{pid}:{os.readlink(path)}")
    return found


@probe("read-host-files-by-process-1")
def read_host_files_by_process_1() -> dict[str, Any]:
    """Through /proc/1/root and /proc/1/cwd: only what is in here anyway."""
    found = {}
    for link in ("root", "cwd"):
        try:
            found[link] = os.listdir(f"/proc/1/{link}/") == os.listdir("/")
        except OSError:
            found[link] = True
    return found
