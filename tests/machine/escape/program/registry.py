# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of probes, and how one is tried: in a process of its own, since many end or change the process."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Probe = Callable[[], Any]

PROBES: dict[str, Probe] = {}
SECONDS = 60  # emulated processors are slow
DIED = 97


class Skipped(Exception):
    """This probe means nothing here, and why."""


def probe(name: str) -> Callable[[Probe], Probe]:
    """The function tries one thing: it returns a value (None: "ok") or raises OSError."""

    def register(function: Probe) -> Probe:
        assert name not in PROBES, name
        PROBES[name] = function
        return function

    return register


def attempt(name: str) -> dict[str, Any]:
    """What became of one probe."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _report(name, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        line = answer.readline()
    status = os.waitpid(child, 0)[1]
    if line:
        return {"probe": name, **json.loads(line)}
    if os.WIFSIGNALED(status):
        return {"probe": name, "outcome": signal.Signals(os.WTERMSIG(status)).name}
    return {"probe": name, "outcome": f"ended with {os.waitstatus_to_exitcode(status)}"}


def _report(name: str, writing: int) -> None:
    """Never returns."""
    own = os.getpid()
    signal.alarm(SECONDS)  # SIGALRM ends us: the outcome then says so
    found: dict[str, Any]
    try:
        value = PROBES[name]()
        found = {"outcome": "ok" if value is None else value}
    except OSError as error:
        found = {"outcome": errno.errorcode.get(error.errno or 0, str(error))}
    except Skipped as reason:
        found = {"skipped": str(reason)}
    except BaseException as failure:
        found = {"outcome": f"broken: {type(failure).__name__}: {failure}"}
    if os.getpid() == own:  # what a probe cloned and forgot says nothing
        with contextlib.suppress(OSError):
            os.write(writing, json.dumps(found).encode() + b"\n")
    os._exit(DIED)
