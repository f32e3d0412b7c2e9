# SPDX-License-Identifier: GPL-3.0-or-later
"""One process of a container, as the kernel tells of it at one moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """Numbers are the host's, but for inner_pid, as the container's own processes see it. Microseconds and bytes.

    state: of proc_pid_stat(5), R, S, D, Z, T and others. command: empty where the kernel gives none, as of zombies.
    """

    pid: int
    inner_pid: int
    parent: int
    uid: int
    state: str
    cpu_usec: int
    elapsed_usec: int
    memory: int
    name: str
    command: tuple[str, ...]
