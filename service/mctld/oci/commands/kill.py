# SPDX-License-Identifier: GPL-3.0-or-later
"""kill: a signal to the first process of a container, or to all."""

from __future__ import annotations

import os
import signal

from ...errors import InvalidArgs, NotRunning
from .. import arguments, namespaces, signals, state
from ..cgroup import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..call import Call
    from ..state import Entry, Record

OPTIONS = {"all": arguments.FLAG}


def run(call: Call) -> int:
    if not 1 <= len(call.options.rest) <= 2:
        raise InvalidArgs("usage: mctl-oci kill [--all] ID [SIGNAL]")
    name, *rest = call.options.rest
    number = signals.parse(rest[0]) if rest else signal.SIGTERM
    with state.look(call.root, name) as entry:
        record = entry.record()
        if call.options.flag("all"):
            _all(record, number)
        else:
            _first(entry, record, number)
    return 0


def _all(record: Record, number: int) -> None:
    """Also where the first process has ended and left others behind."""
    if not record.cgroup or not os.path.isdir(record.cgroup):
        if not state.is_alive(record):
            raise NotRunning(f"container {record.id!r}: container not running")
        return
    if number == signal.SIGKILL:
        files.kill_all(record.cgroup)
    else:
        files.signal_all(record.cgroup, number)


def _first(entry: Entry, record: Record, number: int) -> None:
    """Without a PID namespace of its own nothing else ends a container's other processes with the first."""
    pidfd = state.open_process(record)
    if pidfd is None:
        raise NotRunning(f"container {record.id!r}: container not running")
    try:
        if number == signal.SIGKILL and record.cgroup and _shares_pids(entry):
            files.kill_all(record.cgroup)
        else:
            signal.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)


def _shares_pids(entry: Entry) -> bool:
    return "pid" not in namespaces.read(entry.configuration()["linux"]["namespaces"]).new
