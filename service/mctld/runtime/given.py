# SPDX-License-Identifier: GPL-3.0-or-later
"""What a payload gets at one start beside what its specification says; https://systemd.io/CONTAINER_INTERFACE."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CREDENTIALS = "credentials"  # what the stage calls the mount that holds them
NOTIFY = "notify"  # and the mount of the socket for sd_notify(3)
NOTIFY_SOCKET = "/run/host/notify"
CREDENTIALS_DIRECTORY = "/run/host/credentials"
FIRST_SOCKET = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)


def socket_name(number: int) -> str:
    """By which the stage knows the descriptor of that one of the unit's sockets."""
    return f"socket-{number}"


@dataclass(frozen=True, slots=True)
class Given:
    """sockets: how many descriptors follow standard error."""

    environment: Mapping[str, str] = field(default_factory=dict)
    credentials: bool = False
    notify: bool = False
    sockets: int = 0


NOTHING = Given()
