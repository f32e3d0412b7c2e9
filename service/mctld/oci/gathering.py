# SPDX-License-Identifier: GPL-3.0-or-later
"""Gathers the code of what mctl-oci imports in one file, for launch.py: when the package is installed."""

from __future__ import annotations

import importlib
import marshal
import os
import sys
from typing import TYPE_CHECKING

from . import launch

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "mctld"
COMMANDS = ("create", "start", "state", "kill", "delete", "run", "exec")  # what engines call for each container
LATER = ("lean", "__main__", "cgroup.bus", "console")  # what comes before these, and what they mostly come to need
STANDARD = ("__future__", "ctypes", "signal", "socket", "struct")  # what is not in the interpreter itself


def write(file: str = launch.GATHERED) -> None:
    """Replaces it as a whole."""
    for name in (*(f"commands.{command}" for command in COMMANDS), *LATER):
        importlib.import_module(f"{__package__}.{name}")
    for name in STANDARD:
        importlib.import_module(name)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    made = f"{file}.{os.getpid()}"
    try:
        with open(made, "wb") as out:
            out.write(marshal.dumps(dict(_gathered())))
            os.fchmod(out.fileno(), 0o644)
        os.rename(made, file)
    except BaseException:
        os.unlink(made)
        raise


def _gathered() -> Iterator[tuple[str, tuple[bool, str, int, int, bytes]]]:
    for name, module in list(sys.modules.items()):
        if name not in STANDARD and name.partition(".")[0] != OURS:
            continue
        spec = module.__spec__
        assert spec is not None
        source, loader = spec.origin, spec.loader
        assert source is not None
        about = os.stat(source)
        code = loader.get_code(name)  # type: ignore[union-attr]  # of a file's there is always one
        is_package = spec.submodule_search_locations is not None
        yield name, (is_package, source, about.st_mtime_ns, about.st_size, marshal.dumps(code))
