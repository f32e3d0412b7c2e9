# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service tells PID 1 about itself, sd_notify(3), and the descriptors PID 1 keeps for it meanwhile."""

from __future__ import annotations

from systemd import daemon


def ready() -> None:
    daemon.notify("READY=1")


def stopping() -> None:
    daemon.notify("STOPPING=1")


def keep(name: str, descriptor: int) -> None:
    """Into the service's descriptor store, which outlives it. FDPOLL=0: a hang-up must not lose what is unread."""
    daemon.notify(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}", fds=[descriptor])


def drop(name: str) -> None:
    daemon.notify(f"FDSTOREREMOVE=1\nFDNAME={name}")


def kept() -> dict[str, int]:
    """What an earlier instance of the service has put into the store."""
    return {name: descriptor for descriptor, name in daemon.listen_fds_with_names().items()}
