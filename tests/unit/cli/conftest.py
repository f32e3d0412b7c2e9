# SPDX-License-Identifier: GPL-3.0-or-later
"""A private bus, a fake service on it, and the real launcher as a person would call it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from unit.cli.fake_service import FakeService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LAUNCHER = Path(__file__).resolve().parents[3] / "cli" / "bin" / "mctl"

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow own="*"/><allow receive_sender="*"/></policy>
</busconfig>"""

Result = subprocess.CompletedProcess[bytes]


@pytest.fixture(scope="session")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a private dbus-daemon."""
    directory = tmp_path_factory.mktemp("bus")
    config = directory / "bus.conf"
    config.write_text(CONFIG.format(path=directory / "socket"))
    words = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as daemon:
        if daemon.stdout is None:
            raise AssertionError("asked for a pipe")
        yield daemon.stdout.readline().decode().strip()
        daemon.terminate()


@pytest.fixture
def service(bus: str) -> Iterator[FakeService]:
    fake = FakeService(bus)
    yield fake
    fake.stop()
    assert fake.wrong == []


@pytest.fixture
def environment(bus: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": bus, "TZ": "UTC"}


@pytest.fixture
def mctl(environment: dict[str, str]) -> Callable[..., Result]:
    """Runs the launcher: mctl("ps", "-a", stdin=b"...") -> CompletedProcess with bytes."""

    def call(*words: str, stdin: bytes = b"", **extra: str) -> Result:
        return subprocess.run(
            [LAUNCHER, *words], input=stdin, capture_output=True, env=environment | extra, timeout=30, check=False
        )

    return call
