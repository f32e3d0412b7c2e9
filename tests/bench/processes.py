# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of this machine and the memory that is theirs."""

from __future__ import annotations

from pathlib import Path

from bench import command

PROC = Path("/proc")


def all_now() -> dict[int, str]:
    """Process id to name, kernel threads left out."""
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and memory(int(entry.name), "Pss"):
            found[int(entry.name)] = _name(entry)
    return found


def memory(pid: int, field: str) -> int:
    """KiB in Pss (each shared page divided by its users) or Rss; 0 for one that is gone or has no memory."""
    try:
        words = (PROC / str(pid) / "smaps_rollup").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(words[words.index(f"{field}:") + 1]) if f"{field}:" in words else 0


def of_units(units: tuple[str, ...]) -> list[int]:
    """The main processes of services. Raises FailedError when one does not run."""
    found = [int(command.output(["systemctl", "show", "-P", "MainPID", unit])) for unit in units]
    if not all(found):
        raise command.FailedError(f"not all of these run: {', '.join(units)}")
    return found


def _name(entry: Path) -> str:
    try:
        return (entry / "comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return "?"
