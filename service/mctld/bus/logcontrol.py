# SPDX-License-Identifier: GPL-3.0-or-later
"""org.freedesktop.LogControl1(5): `systemctl service-log-level mctld.service debug`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..bounds import shown
from ..errors import InvalidArgs
from ..reporting import IDENTIFIER, LEVELS, TARGETS
from .standard import LOG_CONTROL
from .target import BASIC, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .contract import Contract, Property
    from .engine import LogControl

PATH = "/org/freedesktop/LogControl1"
_VALUES: Mapping[str, Sequence[str]] = {"LogLevel": tuple(LEVELS), "LogTarget": TARGETS}


class LogControlObject(Target):
    def __init__(self, contract: Contract, control: LogControl) -> None:
        super().__init__(PATH, [contract[name] for name in (LOG_CONTROL, *BASIC)])
        self._control = control

    def check_value(self, wanted: Property, value: object) -> None:
        known = _VALUES[wanted.name]
        if value not in known:
            raise InvalidArgs(f"{wanted.name} {shown(str(value))} is not known: use one of {', '.join(known)}")

    def log_level(self) -> str:
        return self._control.level

    def set_log_level(self, name: str) -> None:
        self._control.level = name

    def log_target(self) -> str:
        return self._control.target

    def set_log_target(self, name: str) -> None:
        self._control.target = name

    def syslog_identifier(self) -> str:
        return IDENTIFIER
