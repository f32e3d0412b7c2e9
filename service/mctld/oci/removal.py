# SPDX-License-Identifier: GPL-3.0-or-later
"""A container is undone: its processes, its cgroup, its record, and the hooks that want to know."""

from __future__ import annotations

import os
import signal

from ..errors import MctlError, NotRunning, SetupFailed
from . import hooks, state
from .cgroup import home
from .pidfd import await_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .report import Report
    from .state import Entry, Record

DEAD_WITHIN = 10.0  # seconds after SIGKILL


def remove(entry: Entry, report: Report, *, force: bool) -> None:
    try:
        record = entry.record()
    except MctlError:
        if not force:
            raise
        entry.remove()
        return
    now = state.status(entry, record)
    if now not in (state.STOPPED, state.CREATED) and not force:
        raise NotRunning(f"cannot delete container {entry.name!r}: it is {now}, and must be {state.STOPPED}")
    end(record)
    home.leave(record.manager, record.unit, record.cgroup, rootless=record.rootless)
    after = _poststop(entry, report)
    entry.remove()
    for hook in after:
        try:
            hooks.run_all("poststop", (hook,), state.for_hook(record, state.STOPPED))
        except SetupFailed as error:  # runtime.md#lifecycle, 13: the others go on
            report.warn(str(error))


def end(record: Record) -> None:
    pidfd = state.open_process(record)
    if pidfd is None:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if not await_end(pidfd, DEAD_WITHIN):
            raise SetupFailed(
                f"end container {record.id!r}", f"process {record.pid} lives {DEAD_WITHIN:.0f} s after SIGKILL"
            )
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def _poststop(entry: Entry, report: Report) -> tuple[hooks.Hook, ...]:
    try:
        return hooks.read(entry.configuration()["hooks"])["poststop"]
    except (MctlError, OSError) as error:
        report.warn(f"the poststop hooks of {entry.name!r} are not known: {error}")
        return ()
