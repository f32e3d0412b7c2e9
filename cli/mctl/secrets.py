# SPDX-License-Identifier: GPL-3.0-or-later
"""The option of run and create that gives a secret: the service gets memory, never a path or a message."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .parser import Option

if TYPE_CHECKING:
    from .parser import Arguments

CREDENTIALS_MAX = 12  # a message of dbus-daemon's default configuration carries 16 descriptors
ALL_MAX = 1 << 20


def credential(flag: str, text: str) -> tuple[str, str]:
    name, colon, path = text.partition(":")
    if not (name and colon and path):
        raise UsageError(f"{flag} {text!r} is not NAME:FILE, as in password:/root/db.password; - is standard input")
    return name, path


OPTIONS = (Option(("--credential",), "a secret as a file", value="NAME:FILE", convert=credential, repeat=True),)


def secret_options(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """Credentials for CreateContainer."""
    given = arguments.get("credential", [])
    if len(given) > CREDENTIALS_MAX:
        raise UsageError(f"--credential: {len(given)} are too many, the most is {CREDENTIALS_MAX}")
    return {"Credentials": ("a(sh)", [(name, _opened(path)) for name, path in given])} if given else {}


def _opened(path: str) -> int:
    """A copy in memory, read with our own rights: what the kernel or a process of ours makes up the service refuses."""
    try:
        found = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        memory = os.memfd_create("credential", os.MFD_CLOEXEC)
        with os.fdopen(found, "rb") as file, os.fdopen(os.dup(memory), "wb") as copy:
            copy.write(file.read(ALL_MAX + 1))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--credential {path}: {reason}") from None
    return memory
