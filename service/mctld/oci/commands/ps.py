# SPDX-License-Identifier: GPL-3.0-or-later
"""ps: the processes of a container, as ps(1) shows them or by the host's pids alone."""

from __future__ import annotations

import os

from ...errors import InvalidArgs, SetupFailed
from ...runtime import plainjson
from .. import arguments, state
from ..cgroup import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..call import Call

OPTIONS = {"format": arguments.TEXT}
LONG = ("-ef",)
COLUMN = "PID"


def run(call: Call) -> int:
    form = call.options.text("format", "table")
    if form not in ("table", "json") or not call.options.rest:
        raise InvalidArgs("usage: mctl-oci ps [--format table|json] ID [OPTION OF PS...]")
    name, *chosen = call.options.rest
    with state.look(call.root, name) as entry:
        record = entry.record()
    if not record.cgroup:
        raise SetupFailed("list the processes", "the container has no cgroup")
    found = files.processes(record.cgroup) if os.path.isdir(record.cgroup) else []
    if form == "json":
        print(plainjson.dumps(found))
    else:
        print(*_rows(_shown(chosen or LONG), found), sep="\n")
    return 0


def _shown(chosen: Sequence[str]) -> list[str]:
    """All that runs: which rows are the container's only we know."""
    import subprocess  # 10 ms, which --format json, what engines ask for, need not take

    try:
        done = subprocess.run(["ps", *chosen], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise SetupFailed("list the processes", "ps(1) is not installed; --format json needs none") from error
    if done.returncode:
        raise SetupFailed(f"run ps {' '.join(chosen)}", done.stderr.decode(errors="replace").strip() or "it failed")
    return done.stdout.decode(errors="replace").splitlines()


def _rows(shown: list[str], found: Sequence[int]) -> list[str]:
    """The heading and the container's own. The columns before that of the pids hold no spaces."""
    heading, *rows = shown or [""]
    names = heading.split()
    if COLUMN not in names:
        raise SetupFailed("list the processes", f"ps shows no column {COLUMN}: choose other options")
    column, pids = names.index(COLUMN), {str(pid) for pid in found}
    return [heading, *(row for row in rows if row.split()[column : column + 1] and row.split()[column] in pids)]
