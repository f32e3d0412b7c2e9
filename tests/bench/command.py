# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands whose time counts: started by posix_spawn, waited for by waitpid, nothing in between."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 300


class FailedError(Exception):
    """A peer could not do what was measured; the sentence is its own."""


def seconds(argv: Sequence[str]) -> float:
    """How long the whole command takes. Raises FailedError when its status is not 0."""
    return seconds_of_all([argv])


def seconds_of_all(commands: Sequence[Sequence[str]]) -> float:
    """How long the commands take, started all at once, until the last has ended."""
    with tempfile.TemporaryFile() as complaints:
        began = time.perf_counter()
        running = {_spawn(argv, complaints.fileno()): argv for argv in commands}
        ended = [(argv, os.waitpid(pid, 0)[1]) for pid, argv in running.items()]
        taken = time.perf_counter() - began
        failed = [(argv, os.waitstatus_to_exitcode(status)) for argv, status in ended if status]
        if failed:
            complaints.seek(0)
            raise FailedError(f"{len(failed)} of {len(ended)} failed: {_failure(*failed[0], complaints.read())}")
    return taken


def output(argv: Sequence[str]) -> str:
    """What an untimed command prints. Raises FailedError."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        raise FailedError(f"{argv[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise FailedError(f"{shlex.join(argv)} did not end within {SECONDS} s") from None
    if done.returncode:
        raise FailedError(_failure(argv, done.returncode, done.stderr))
    return done.stdout.decode(errors="replace")


def _spawn(argv: Sequence[str], stderr: int) -> int:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, fd, target) for fd, target in ((null, 0), (null, 1), (stderr, 2))]
    try:
        return os.posix_spawnp(argv[0], list(argv), os.environ, file_actions=actions)
    except FileNotFoundError:
        raise FailedError(f"{argv[0]} is not installed") from None
    finally:
        os.close(null)


def _failure(argv: Sequence[str], status: int, complaint: bytes) -> str:
    said = " / ".join(complaint.decode(errors="replace").split("\n")[-6:]).strip(" /")
    return f"`{shlex.join(argv)}` ended with {status}: {said[-600:]}"
