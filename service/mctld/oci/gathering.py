# SPDX-License-Identifier: GPL-3.0-or-later
"""Gathers the code of what mctl-oci imports in one file, for launch.py: when the package is installed."""

from __future__ import annotations

import importlib
import importlib.machinery
import marshal
import os
import sys
from typing import TYPE_CHECKING

from . import launch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

OURS = "mctld"
COMMANDS = ("create", "start", "state", "kill", "delete", "run", "exec")  # what engines call for each container
BEFORE = ("lean", "__main__")
LATER = ("cgroup.bus", "cgroup.ownership", "cgroup.rules", "cgroup.scope", "console")  # what they mostly come to need
STANDARD = ("__future__", "ctypes", "signal", "socket", "struct")  # what is not in the interpreter itself


def write(file: str = launch.GATHERED) -> None:
    """Replaces it as a whole."""
    for name in (*(f"commands.{command}" for command in COMMANDS), *BEFORE, *LATER):
        importlib.import_module(f"{__package__}.{name}")
    for name in STANDARD:
        importlib.import_module(name)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    made = f"{file}.{os.getpid()}"
    try:
        with open(made, "wb") as out:
            out.writelines(_content())
            os.fchmod(out.fileno(), 0o644)
        os.rename(made, file)
    except BaseException:
        os.unlink(made)
        raise


def _content() -> Iterator[bytes]:
    """Read at once, and each code taken from it as it is imported: launch.py."""
    index: launch.Index = {}
    codes, start = [], 0
    for name, module in list(sys.modules.items()):
        is_library = isinstance(getattr(module, "__loader__", None), importlib.machinery.ExtensionFileLoader)
        if not is_library and name not in STANDARD and name.partition(".")[0] != OURS:
            continue
        kind, source, code = _found(name, module, is_library=is_library)
        about = os.stat(source)
        index[name] = kind, source, about.st_mtime_ns, about.st_size, start, len(code)
        codes.append(code)
        start += len(code)
    head = marshal.dumps(index)
    for length in (len(head), start):
        yield length.to_bytes(launch.HEAD // 2, "little")
    yield head
    yield from codes


def _found(name: str, module: ModuleType, *, is_library: bool) -> tuple[str, str, bytes]:
    """Its kind, its source, and its code if it has any."""
    spec = module.__spec__
    assert spec is not None
    source, loader = spec.origin, spec.loader
    assert source is not None
    if is_library:
        return launch.EXTENSION, source, b""
    kind = launch.MODULE if spec.submodule_search_locations is None else launch.PACKAGE
    return kind, source, marshal.dumps(loader.get_code(name))  # type: ignore[union-attr]  # of a file's there is always one
