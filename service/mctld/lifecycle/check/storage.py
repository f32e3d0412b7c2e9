# SPDX-License-Identifier: GPL-3.0-or-later
"""Where containers' files lie: overlays on idmapped directories, the database, the room that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .finding import Finding, Verdict

if TYPE_CHECKING:
    from ...runtime.trial import Layers
    from .host import Host, Room

LEAST_FREE = 512 << 20
LEAST_FILES = 0.02  # of all inodes
ABLE = "ext4, xfs, btrfs (Linux 5.15), f2fs (5.18) or tmpfs (6.3)"


def file_system(host: Host, path: str) -> str:
    """The type of the one mounted closest above `path`, proc_pid_mountinfo(5)."""
    best, kind = "", "unknown"
    for line in (host.text("/proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4] if len(before.split()) > 4 else ""
        inside = path == point or path.startswith(f"{point.rstrip('/')}/")
        if point and inside and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return kind


def idmap(tried: Layers | None, directory: str, kind: str) -> Finding:
    where = f"{directory} ({kind})"
    if tried is None:
        return Finding("idmap", Verdict.UNKNOWN, "not tried", "An attempt needs a user namespace.", "see userns")
    if tried.idmap:
        return Finding(
            "idmap",
            Verdict.MISSING,
            f"{where}: {tried.idmap}",
            "Directories of this file system cannot be shown with a container's ids.",
            f"mount a file system that can do it at {directory}: {ABLE}",
        )
    return Finding(
        "idmap",
        Verdict.OK,
        f"{where} was mounted with other ids",
        f"Root directories on this file system can be used; on another one, {ABLE} can do it too.",
    )


def overlay(tried: Layers | None, directory: str) -> Finding:
    if tried is None:
        return Finding("overlay", Verdict.UNKNOWN, "not tried", "An attempt needs a user namespace.", "see userns")
    if tried.overlay:
        return Finding(
            "overlay",
            Verdict.MISSING,
            f"none could be mounted below {directory}: {tried.overlay}",
            "No container can be started: its root directory is an overlay.",
            "modprobe overlay; where that is no help, mount an ext4, xfs or btrfs file system at "
            f"{directory}: an overlay cannot keep its files on another overlay or on a network file system",
        )
    return Finding("overlay", Verdict.OK, f"one was mounted below {directory}", "Containers get a layer of their own.")


def database(path: str, failure: str) -> Finding:
    if failure:
        return Finding(
            "store",
            Verdict.MISSING,
            f"{path}: {failure}",
            "What the service knows of its containers is at risk, and changes may be refused.",
            f"stop mctld.service, look at {path} with sqlite3 (PRAGMA integrity_check), restore it from a backup",
        )
    return Finding("store", Verdict.OK, f"{path} is readable and sound", "Containers survive a restart of the service.")


def room(found: Room | None, directory: str) -> Finding:
    if found is None:
        return Finding("space", Verdict.UNKNOWN, f"{directory} cannot be looked at", "See the check store.")
    used_up = bool(found.files) and found.files_free < LEAST_FILES * found.files
    if found.free < LEAST_FREE or used_up:
        what = f"{found.files_free} of {found.files} files left" if used_up else str(found)
        return Finding(
            "space",
            Verdict.WARNING,
            f"{directory}: {what}",
            "Containers that write soon get 'No space left on device', and so does the service.",
            f"remove containers (mctl ps -a, mctl rm), or give the file system of {directory} more room",
        )
    return Finding("space", Verdict.OK, f"{directory}: {found}", "There is room for what containers write.")
