# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a machine in place of mctld: the same service, which kills itself at the step that a file names.

Nothing of this is in the service itself, so nobody can make it. `module:Name.method<` is the moment before, `>` after.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = Path("/run/mctl-crash-at")  # taken away by the crash: the next instance lives


def reached(step: str) -> None:
    if STEP.exists() and STEP.read_text().strip() == step:
        STEP.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def wrapped(work: Callable[..., Any], name: str) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(work):

        @functools.wraps(work)
        async def later(*args: Any, **named: Any) -> Any:
            reached(f"{name}<")
            result = await work(*args, **named)
            reached(f"{name}>")
            return result

        return later

    @functools.wraps(work)
    def now(*args: Any, **named: Any) -> Any:
        reached(f"{name}<")
        result = work(*args, **named)
        reached(f"{name}>")
        return result

    return now


def watch(name: str) -> None:
    module, _, path = name.partition(":")
    owner: Any = importlib.import_module(f"mctld.{module}")
    *outer, last = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    setattr(owner, last, wrapped(getattr(owner, last), name))


def begin() -> int:
    for step in sys.argv[1:]:
        watch(step)
    del sys.argv[1:]
    result: int = importlib.import_module("mctld.__main__").main()
    return result


sys.exit(begin())
