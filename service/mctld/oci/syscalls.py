# SPDX-License-Identifier: GPL-3.0-or-later
"""The system call filter of linux.seccomp, compiled once for each document and kept on a tmpfs.

A profile that was compiled before is known by its text alone, and nothing that compiles is imported.
"""

from __future__ import annotations

import os

from ..errors import InvalidArgs, SetupFailed
from ..kernel import constants as c
from .listener import NOTIFY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..runtime.seccomp.shelf import Shelf
    from .reading import Value

DIRECTORY = ".seccomp"  # in the state directory: no container's name begins so
FORMAT = 1  # of the key
WAITING = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # there is one thread
    "SECCOMP_FILTER_FLAG_LOG": c.SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": c.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    WAITING: c.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
}


def flags(seccomp: Value) -> int:
    """With which seccomp(2) loads the filter."""
    named = {item.text(): item.choice(FLAGS) for item in seccomp["flags"].items()}
    if WAITING in named and all(rule["action"].text("") != NOTIFY for rule in seccomp["syscalls"].items()):
        raise seccomp["flags"].error(f"{WAITING} needs a rule with {NOTIFY}")
    return sum(named.values())


def open_filter(document: str, capabilities: Iterable[str], root: str) -> int:
    """A descriptor of the program, in sealed memory."""
    import hashlib

    from ..runtime.seccomp import shelf

    kept = shelf.Shelf(f"{root}/{DIRECTORY}")
    try:
        about = (FORMAT, document, sorted(capabilities), shelf.library_version(), c.MACHINE, os.uname().release)
        name = hashlib.sha256(repr(about).encode(errors="surrogatepass")).hexdigest()
        code = kept.load(name)
        if code is None:
            code = _compile(document, frozenset(capabilities), c.MACHINE)
            _keep(kept, name, code)
        return shelf.sealed(code)
    except (OSError, RuntimeError, ImportError) as error:  # libseccomp's binding knows no finer ones
        raise SetupFailed("compile linux.seccomp", error) from error


def _compile(document: str, capabilities: frozenset[str], machine: str) -> bytes:
    from ..runtime.seccomp import oci, program

    try:
        return program.compile_profile(oci.profile(document, capabilities, machine, os.uname().release, notify=True))
    except InvalidArgs as error:
        text = str(error)
        raise InvalidArgs(
            f"linux.seccomp{text.removeprefix('Seccomp')}" if text.startswith("Seccomp") else text
        ) from error


def _keep(kept: Shelf, name: str, code: bytes) -> None:
    try:
        kept.save(name, code)
    except OSError:  # a full tmpfs costs the next start some milliseconds
        return
