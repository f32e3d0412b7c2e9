# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that a container is given as files: their names are part of it, what is in them is shown to nobody."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .bounds import shown
from .errors import InvalidArgs

if TYPE_CHECKING:
    from collections.abc import Mapping

CREDENTIALS_MAX = 12  # a message of dbus-daemon's default configuration carries 16 descriptors
ALL_MAX = 1 << 20  # bytes of all together, as of systemd.exec(5)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,127}", re.ASCII)


def check_names(names: tuple[str, ...]) -> None:
    if len(names) > CREDENTIALS_MAX:
        raise InvalidArgs(f"Credentials has {len(names)} entries: the most is {CREDENTIALS_MAX}")
    for name in names:
        if not _NAME.fullmatch(name):
            raise InvalidArgs(f"Credentials name {shown(name)} is not valid: use letters, digits, ., _, @ and -")
    if len(set(names)) < len(names):
        raise InvalidArgs("Credentials has the same name twice")


@dataclass(frozen=True, slots=True)
class Credentials:
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)
