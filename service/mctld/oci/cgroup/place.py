# SPDX-License-Identifier: GPL-3.0-or-later
"""From cgroupsPath and the caller's options to the place of a container's cgroup."""

from __future__ import annotations

import os

from ...bounds import shown
from ...errors import InvalidArgs, SetupFailed
from ..value import value

SYSTEMD, CGROUPFS, DISABLED = "systemd", "cgroupfs", "disabled"
MANAGERS = (SYSTEMD, CGROUPFS, DISABLED)
PREFIX = "mctl-oci"
HIERARCHY = "/sys/fs/cgroup"
_MARKS = dict.fromkeys(map(ord, ":_.\\@-"))  # of names of units, besides letters and digits


@value(frozen=True)
class Place:
    """unit and slice: with systemd. path: below the hierarchy, with cgroupfs."""

    manager: str
    unit: str = ""
    slice: str = ""
    path: str = ""


def booted_with_systemd() -> bool:
    """sd_booted(3)"""
    return os.path.isdir("/run/systemd/system")


def has_manager() -> bool:
    """Whether the user who calls has a systemd of their own on the bus."""
    from . import bus

    place = bus.place(user=True)
    return place[0] == "\0" or os.path.exists(place)


def find(cgroups_path: str, name: str, manager: str, *, user: bool) -> Place:
    """manager: as the caller wants it, or nothing. A path of the form slice:prefix:name is for systemd, others not."""
    if not os.path.exists(f"{HIERARCHY}/cgroup.controllers") and manager != DISABLED:
        raise SetupFailed(
            "find the cgroup v2 hierarchy", f"none is mounted at {HIERARCHY}: mctl-oci supports no cgroup v1"
        )
    if not manager and user and not cgroups_path and not has_manager():
        return Place(DISABLED)  # as crun does: whoever asks for no cgroup and can have none needs none
    if not manager:
        for_systemd = not cgroups_path or _is_for_systemd(cgroups_path)
        manager = SYSTEMD if for_systemd and booted_with_systemd() else CGROUPFS
    if manager == DISABLED:
        return Place(DISABLED)
    if manager == SYSTEMD:
        return _scope(cgroups_path, name, user=user)
    return Place(CGROUPFS, path=_path(cgroups_path, name))


def _is_for_systemd(cgroups_path: str) -> bool:
    return "/" not in cgroups_path and cgroups_path.count(":") == 2


def _scope(cgroups_path: str, name: str, *, user: bool) -> Place:
    if cgroups_path and not _is_for_systemd(cgroups_path):
        raise InvalidArgs(
            f"linux.cgroupsPath is {shown(cgroups_path)}: with systemd it must be slice:prefix:name, "
            "or --cgroup-manager must be cgroupfs"
        )
    slice_name, prefix, last = cgroups_path.split(":") if cgroups_path else ("", PREFIX, name)
    unit = f"{prefix}-{last}.scope" if prefix else f"{last}.scope"
    slice_name = slice_name or ("user.slice" if user else "system.slice")
    for text in (unit, slice_name):
        letters = text.translate(_MARKS) or "x"
        if not (text.isascii() and letters.isalnum() and 1 <= len(text) <= 240):
            raise InvalidArgs(f"linux.cgroupsPath gives {shown(text)}, which is not the name of a unit")
    if not slice_name.endswith(".slice"):
        raise InvalidArgs(f"linux.cgroupsPath names the slice {shown(slice_name)}: it must end with .slice")
    return Place(SYSTEMD, unit=unit, slice=slice_name)


def _path(cgroups_path: str, name: str) -> str:
    parts = [part for part in (cgroups_path or f"/{PREFIX}-{name}").split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise InvalidArgs(f"linux.cgroupsPath is {shown(cgroups_path)}: it must name a cgroup below {HIERARCHY}")
    return "/" + "/".join(parts)


def of_process(pid: int) -> str:
    """The directory of its cgroup."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        path = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "")
    return f"{HIERARCHY}{path}".rstrip("/")
