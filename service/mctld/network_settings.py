# SPDX-License-Identifier: GPL-3.0-or-later
"""mctld.conf(5), section [Network]."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from .conf import DROP_INS, FILE, NETWORK, YES_NO, lines
from .errors import InvalidArgs
from .networking import parse_subnet

if TYPE_CHECKING:
    from .conf import Line


DEFAULT_SUBNET = IPv4Network("172.20.0.0/16")


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """host_names: whether NAME.mctl is a container on the host. default_subnet: of `bridge`, when it is made."""

    host_names: bool = True
    default_subnet: IPv4Network = DEFAULT_SUBNET


DEFAULTS = NetworkSettings()


def read(file: str = FILE, drop_ins: str = DROP_INS) -> NetworkSettings:
    found = DEFAULTS
    for line in lines(file, drop_ins):
        if line.section == NETWORK:
            found = _with(found, line)
    return found


def _with(found: NetworkSettings, line: Line) -> NetworkSettings:
    if line.key == "HostNames" and line.value in YES_NO:
        return replace(found, host_names=YES_NO[line.value])
    if line.key == "DefaultSubnet":
        try:
            return replace(found, default_subnet=parse_subnet(line.value))
        except InvalidArgs as error:
            line.ignored(str(error))
    else:
        line.ignored(f"{NETWORK} has HostNames=yes or no, and DefaultSubnet= with an IPv4 subnet")
    return found
