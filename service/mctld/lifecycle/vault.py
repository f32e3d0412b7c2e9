# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the credentials of a container lie while it does not run: in its own directory, which only root may enter."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..durable import settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PLACE = "credentials"


def keep(directory: str, contents: Mapping[str, bytes]) -> None:
    """Slow, and before the container is in the store: what a crash leaves then belongs to nobody, and is removed.

    On the disk when this returns: after a loss of power a container is there with its secrets, or is not.
    """
    os.makedirs(f"{directory}/{PLACE}", 0o700)
    for name, content in contents.items():
        descriptor = os.open(f"{directory}/{PLACE}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    for path in (f"{directory}/{PLACE}", directory, os.path.dirname(directory)):
        settle(path)


def read(directory: str, names: Iterable[str]) -> dict[str, bytes]:
    found = {}
    for name in names:
        with open(f"{directory}/{PLACE}/{name}", "rb") as file:
            found[name] = file.read()
    return found
