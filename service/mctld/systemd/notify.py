# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service tells PID 1 about itself, sd_notify(3)."""

from __future__ import annotations

from systemd import daemon


def ready(status: str) -> None:
    daemon.notify(f"READY=1\nSTATUS={status}")


def stopping() -> None:
    daemon.notify("STOPPING=1")


def status(text: str) -> None:
    daemon.notify(f"STATUS={text}")
