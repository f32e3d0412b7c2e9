# SPDX-License-Identifier: GPL-3.0-or-later
"""Those the service works with: systemd, polkit, the journal, its own spawner."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .finding import Finding, Verdict
from .host import size

if TYPE_CHECKING:
    from .host import Host, Room

LEAST_SYSTEMD = 252
LEAST_JOURNAL = 64 << 20
PERSISTENT, VOLATILE = "/var/log/journal", "/run/log/journal"
UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


def systemd(version: str | None) -> Finding:
    """As PID 1 tells it: 257.9-1~deb13u1."""
    if version is None:
        return Finding(
            "systemd", Verdict.MISSING, "it does not answer on the bus", "No container can be started.",
            "see systemctl status, and journalctl -b _PID=1",
        )  # fmt: skip
    number = re.match(r"\d+", version)
    if number is None:
        return Finding("systemd", Verdict.UNKNOWN, f"version {version!r}", f"{LEAST_SYSTEMD} or newer is needed.")
    if int(number[0]) < LEAST_SYSTEMD:
        return Finding(
            "systemd",
            Verdict.MISSING,
            f"version {version}, older than {LEAST_SYSTEMD}",
            "Scopes and the journal's fields are not known to work there.",
            "upgrade the host: Debian 12 has systemd 252",
        )
    return Finding("systemd", Verdict.OK, f"version {version}", "Each container is a scope of systemd.")


def polkit(version: str | None, failure: str) -> Finding:
    """`version` of polkitd if it answers, else `failure` says why not."""
    if version is None:
        return Finding(
            "polkit",
            Verdict.MISSING,
            f"it does not answer: {failure}",
            "Only root may use mctl.",
            "apt install polkitd; systemctl unmask polkit.service; systemctl restart polkit.service",
        )
    return Finding("polkit", Verdict.OK, f"version {version} answers", "Users may do what polkit's rules allow them.")


@dataclass(frozen=True, slots=True)
class Journal:
    failure: str  # of connecting to it
    directory: str  # where it writes; empty where it keeps nothing
    room: Room | None


def read_journal(host: Host, failure: str) -> Journal:
    """journald removes its volatile files once it writes to the disk."""
    machine = (host.text("/etc/machine-id") or "").strip()
    for directory in (VOLATILE, PERSISTENT):
        if machine and host.there(f"{directory}/{machine}/system.journal"):
            return Journal(failure, directory, host.room(directory))
    return Journal(failure, "", None)


def journal(facts: Journal) -> Finding:
    if facts.failure:
        return Finding(
            "journal",
            Verdict.MISSING,
            f"/run/systemd/journal/stdout: {facts.failure}",
            "No container can be started: its output has nowhere to go.",
            "systemctl unmask systemd-journald.service systemd-journald.socket; "
            "systemctl start systemd-journald.socket",
        )
    return Finding("journal", Verdict.OK, "it takes connections", "Output of containers goes to the journal.")


def journal_storage(facts: Journal) -> Finding:
    persistent = f"mkdir -p {PERSISTENT} && systemctl restart systemd-journald && journalctl --flush"
    if not facts.directory:
        meaning = "mctl logs shows nothing: journald keeps no lines, it only passes them on."
        remedy = "set Storage=auto in /etc/systemd/journald.conf, then systemctl restart systemd-journald"
        return Finding("journal.storage", Verdict.MISSING, "no journal files", meaning, remedy)
    room = f", {size(facts.room.free)} free" if facts.room else ""
    if facts.room and facts.room.free < LEAST_JOURNAL:
        return Finding(
            "journal.storage", Verdict.WARNING, f"{facts.directory}{room}",
            "journald soon throws old lines away to make room for new ones.",
            "make room on that file system; journalctl --disk-usage tells what the journal takes",
        )  # fmt: skip
    if facts.directory == VOLATILE:
        meaning = "Lines are kept in memory, and lost when the host is rebooted."
        return Finding("journal.storage", Verdict.WARNING, f"volatile, {VOLATILE}{room}", meaning, persistent)
    return Finding("journal.storage", Verdict.OK, f"{PERSISTENT}{room}", "What containers print survives a reboot.")


def journal_namespaces(host: Host, *, wanted: bool) -> Finding:
    name, shared = "journal.namespaces", "Users' containers share the host's journal, and its bound."
    if not wanted:
        return Finding(name, Verdict.OK, "none is asked for", f"{shared} See NamespacePerOwner= in mctld.conf(5).")
    if not any(host.there(f"{place}/systemd-journald@.service") for place in UNITS):
        remedy = "it is a part of systemd, with two sockets of that name: install them, or set NamespacePerOwner=no"
        return Finding(name, Verdict.WARNING, "systemd-journald@.service is not there", shared, remedy)
    return Finding(name, Verdict.OK, "they can be had", "Owners of containers have journals with bounds of their own.")


def spawner(failure: str, *, outdated: bool) -> Finding:
    if failure:
        return Finding(
            "spawner", Verdict.MISSING, failure, "No container can be started; those that run go on.",
            "systemctl unmask mctl-spawner.service mctl-spawner.socket; systemctl restart mctl-spawner.socket; "
            "see journalctl -u mctl-spawner.service",
        )  # fmt: skip
    if outdated:
        return Finding(
            "spawner",
            Verdict.MISSING,
            "it is of another version of this package than mctld.service",
            "No container can be started; those that run go on.",
            "systemctl restart mctld.service, which no running container notices",
        )
    return Finding("spawner", Verdict.OK, "it answers and is of this version", "Containers have a parent.")
