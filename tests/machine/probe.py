# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a machine (python3 -IS - [CURSOR]): prints as JSON all that a container may leave behind.

mounts, units, cgroups, processes, netns, links, records, files: lists of names. fds: per service its PID and what
each descriptor is. journal: warnings and worse of our services since CURSOR. failed: failed units of the system.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SERVICES = ("mctld.service", "mctl-spawner.service")
NAMES = "/run/mctl/names.sock"
READER = b"/usr/libexec/mctl-reader"
# directory: how deep to look
FILES = {"/run/mctl": 3, "/var/lib/mctl/containers": 1, "/run/netns": 1, "/etc/systemd/system": 2}
JOURNAL_FIELDS = "MESSAGE,PRIORITY,_SYSTEMD_UNIT,UNIT,_PID,SYSLOG_IDENTIFIER"


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, check=False).stdout.decode(errors="replace")


def mounts() -> list[str]:
    lines = Path("/proc/1/mountinfo").read_text().splitlines()
    return sorted(f"{line.split()[4]} ({line.partition(' - ')[2].split()[0]})" for line in lines)


def units() -> list[str]:
    listed = output("systemctl", "list-units", "--all", "--plain", "--no-legend", "mctl*")
    return sorted(" ".join(line.split()[:4]) for line in listed.splitlines())


def cgroups() -> list[str]:
    """Directories below our slices that are not slices themselves."""
    top = Path("/sys/fs/cgroup")
    found = [Path(directory) for slice_ in top.glob("mctl*.slice") for directory, _, _ in os.walk(slice_)]
    return sorted(str(path.relative_to(top)) for path in found if path.suffix != ".slice")


def processes() -> list[str]:
    """Processes in our slices, our services' other children, and zombies of ours."""
    own = set(main_pids().values())
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            group = (entry / "cgroup").read_text().rpartition("0::")[2].strip()
            name = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if "/mctl" in group and int(entry.name) not in own:
            found.append(f"{name} (pid {entry.name}) in {group}")
    return sorted(found)


def links() -> list[str]:
    return sorted(line.split()[1] for line in output("ip", "-o", "link", "show").splitlines())


def records() -> list[str]:
    """systemd's and our per-unit records for journald (journal_fields of containers)."""
    return sorted(str(path) for path in Path("/run/systemd/units").glob("*mctl*"))


def files() -> list[str]:
    found = []
    for top, depth in FILES.items():
        for directory, below, names in os.walk(top):
            level = len(Path(directory).relative_to(top).parts)
            found += [f"{directory}/{name}" for name in below + names]
            if level + 1 >= depth:
                below.clear()
    return sorted(found)


@functools.cache
def main_pids() -> dict[str, int]:
    shown = output("systemctl", "show", "-p", "Id,MainPID", *SERVICES)
    found = (dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n"))
    return {unit["Id"]: int(unit["MainPID"]) for unit in found}


def fds() -> dict[str, dict[str, Any]]:
    found = {}
    for unit, pid in main_pids().items():
        if pid:
            found[unit] = {"pid": pid, "open": targets(pid)}
    return found


@functools.cache
def lines_to_helpers() -> set[str]:
    """mctld's ends of lines that stay for a while: to the name server, opened with the first container that has a
    network, and to the readers of pipes, opened with the first one of an owner whose output passes through.
    """
    lines = [line.split() for line in output("ss", "-xH", "state", "established").splitlines()]
    controls = set(readers().values())
    return {f"socket:[{line[-1]}]" for line in lines if NAMES in line or f"socket:[{line[-3]}]" in controls}


@functools.cache
def readers() -> dict[str, str]:
    """Readers of pipes: by pid the socket on which each is told what to do."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if READER in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found[pid] = os.readlink(f"/proc/{pid}/fd/0")
        except OSError:
            continue
    return found


def targets(pid: int) -> list[str]:
    """What the descriptors are, without inode numbers: two sockets are the same kind of thing."""
    found, kept = [], lines_to_helpers()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            is_readers = "pidfd" in target and named(pid, name) in readers()
        except OSError:
            continue
        if target not in kept and not is_readers:
            found.append(target.split(":[")[0])
    return sorted(found)


def named(pid: int, descriptor: str) -> str | None:
    """The process that a pidfd is of, proc_pid_fdinfo(5)."""
    lines = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().splitlines()
    return next((line.split()[1] for line in lines if line.startswith("Pid:")), None)


def journal(cursor: str) -> list[dict[str, Any]]:
    selection = [argument for unit in SERVICES for argument in ("-u", unit)]
    text = output("journalctl", "-q", "-o", "json", "-p", "warning", f"--output-fields={JOURNAL_FIELDS}",
                  f"--after-cursor={cursor}", *selection)  # fmt: skip
    return [json.loads(line) for line in text.splitlines()]


def newest_cursor() -> str:
    text = output("journalctl", "-q", "-n", "1", "-o", "json", "--output-fields=PRIORITY")
    return str(json.loads(text)["__CURSOR"]) if text else ""


def failed() -> list[str]:
    return sorted(line.split()[0] for line in output("systemctl", "--failed", "--plain", "--no-legend").splitlines())


def main() -> None:
    output("journalctl", "--sync")
    names = (mounts, units, cgroups, processes, links, records, files, failed, fds)
    state: dict[str, Any] = {collect.__name__: collect() for collect in names}
    state["journal"] = journal(sys.argv[1]) if len(sys.argv) > 1 else []
    state["cursor"] = newest_cursor()
    json.dump(state, sys.stdout)


if __name__ == "__main__":
    main()
