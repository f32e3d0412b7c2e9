# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal of one owner's, beside the host's: a namespace, systemd-journald.service(8), with files that bound it.

journald reads drop-ins of /run (systemd 252 and 257); those of an administrator in /etc with a later name win. What
systemd-journald@.service lacks of the host's own journald, it gets here: it comes back whenever it ends, so that PID 1
keeps the streams of those who print, and it is stopped after them.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
from typing import TYPE_CHECKING

from . import scope

if TYPE_CHECKING:
    from ..journal_settings import Wish

RUN = "/run/systemd"
PERSISTENT, VOLATILE = "/var/log/journal", "/run/log/journal"
FILE = "10-mctl.conf"
RESTART = "always"
NO_END = 100 * 31_557_600  # seconds: with any retention beyond half a minute journald does not end when it is idle
PARTS = 14  # of a retention: what is too old goes by files, and a file is as old as its first line
LEAST_PART = 300  # seconds
SOCKET = "# Written by mctld: only who makes containers prints here.\n[Socket]\nSocketMode=0600\n"
PRESERVES = 254  # systemd that keeps descriptors of what was stopped: FileDescriptorStorePreserve=
_DIRECTORY = re.compile(r"journal\.mctl-([0-9]+)", re.ASCII)


def name(owner: int) -> str:
    return f"mctl-{owner}"


def unit(owner: int) -> str:
    return f"systemd-journald@{name(owner)}.service"


def sockets(owner: int) -> tuple[str, str]:
    """The units of them."""
    return f"systemd-journald@{name(owner)}.socket", f"systemd-journald-varlink@{name(owner)}.socket"


def directory(owner: int) -> str:
    return f"{RUN}/journal.{name(owner)}"


def stream_socket(owner: int) -> str:
    return f"{directory(owner)}/stdout"


def entry_socket(owner: int) -> str:
    return f"{directory(owner)}/socket"


def varlink_socket(owner: int) -> str:
    return f"{directory(owner)}/io.systemd.journal"


def owners() -> set[int]:
    """Who has one now."""
    found = (_DIRECTORY.fullmatch(os.path.basename(path)) for path in glob.glob(f"{RUN}/journal.mctl-*"))
    return {int(match[1]) for match in found if match}


def is_kept(owner: int) -> bool:
    """Whether there is anything to be read."""
    return any(glob.glob(f"{each}/*.{name(owner)}") for each in (PERSISTENT, VOLATILE))


def configuration(wish: Wish, *, persistent: bool) -> str:
    """journald.conf(5). One file for all users inside: before systemd 253 each of them would have one."""
    retention = wish.retention or NO_END
    lines = ["# Written by mctld for mctld.conf(5). Later files win."]
    lines += ["[Journal]", "SplitMode=none", "ForwardToSyslog=no"]
    lines += [] if persistent else ["Storage=volatile"]
    lines += [f"{kind}MaxUse={wish.max_use}" for kind in ("System", "Runtime") if wish.max_use]
    lines += [f"MaxRetentionSec={retention}s"]
    lines += [f"MaxFileSec={max(retention // PARTS, LEAST_PART)}s"] if wish.retention else []
    return "\n".join(lines) + "\n"


def service(owner: int, version: int, *, persistent: bool) -> str:
    """What the unit is told. Before= means: stopped after them. version: of systemd."""
    lines = ["# Written by mctld.", "[Unit]"]
    lines += [f"Before=mctld.service {scope.slice_name(owner)}", "StartLimitIntervalSec=0"]
    lines += ["[Service]", f"Restart={RESTART}", "RestartSec=250ms", "OOMScoreAdjust=-250"]
    lines += ["FileDescriptorStorePreserve=yes"] if version >= PRESERVES else []
    lines += [] if persistent else ["LogsDirectory="]  # to make it would be to make the host's journal persistent too
    return "\n".join(lines) + "\n"


def write(owner: int, wish: Wish, version: int) -> bool:
    """Whether something of it was another before."""
    persistent = os.path.isdir(PERSISTENT)
    settings, unit_s, *sockets_s = _places(owner)
    changed = [_replace(place, SOCKET) for place in sockets_s]
    changed.append(_replace(unit_s, service(owner, version, persistent=persistent)))
    return _replace(settings, configuration(wish, persistent=persistent)) or any(changed)


def remove(owner: int) -> None:
    """What it has printed stays, in PERSISTENT; what an administrator has put beside our files does too."""
    for place in _places(owner):
        with contextlib.suppress(OSError):
            os.unlink(f"{place}/{FILE}")
            os.rmdir(place)
    shutil.rmtree(directory(owner), ignore_errors=True)


def _places(owner: int) -> tuple[str, ...]:
    """Directories of drop-ins: of journald, of its unit, of its socket that would be open to everybody."""
    units = (unit(owner), sockets(owner)[0])
    return f"{RUN}/journald@{name(owner)}.conf.d", *(f"{RUN}/system/{each}.d" for each in units)


def _replace(place: str, text: str) -> bool:
    """Whether that was needed. Readers find it whole."""
    path = f"{place}/{FILE}"
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return False
    except FileNotFoundError:
        os.makedirs(place, exist_ok=True)
        os.chmod(place, 0o755)  # whatever our umask: systemctl cat is for everybody
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
    os.rename(f"{path}.new", path)
    return True
