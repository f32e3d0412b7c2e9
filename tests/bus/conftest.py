# SPDX-License-Identifier: GPL-3.0-or-later
"""A private message bus, open file descriptors counted, and no unexpected log record."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from bus.house import ROOT_UID, House

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="signal"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
  </policy>
  <limit name="max_incoming_unix_fds">64</limit>
  <limit name="max_outgoing_bytes">{room}</limit>
  <limit name="max_incoming_bytes">{room}</limit>
  <limit name="max_replies_per_connection">50000</limit>
</busconfig>
"""


def _start(directory: Path, room: int) -> Iterator[str]:
    socket = directory / "bus"
    configuration = directory / "bus.conf"
    configuration.write_text(CONFIGURATION.format(socket=socket, room=room))
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert daemon.stdout is not None
        address = daemon.stdout.readline().strip()
        assert address.startswith("unix:"), "dbus-daemon did not start"
        yield address
    finally:
        daemon.kill()
        daemon.communicate()


@pytest.fixture(scope="session")
def session_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from _start(tmp_path_factory.mktemp("bus"), 127 << 20)


@pytest.fixture
def narrow_bus(tmp_path: Path) -> Iterator[str]:
    """A bus of its own that keeps 16 MiB of unread messages of one sender, where the system bus keeps 127 MiB."""
    yield from _start(tmp_path, 16 << 20)


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def bus(session_bus: str, caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    """Its address. Each test must leave no descriptor, and no warning in the log that it did not take away."""
    gc.collect()
    before = open_fds()
    yield session_bus
    gc.collect()
    assert open_fds() == before
    unexpected = [r.getMessage() for phase in ("setup", "call") for r in caplog.get_records(phase) if r.levelno >= 30]
    assert not unexpected


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Coroutine tests run in a loop of their own, with the house and a client of root where they ask for them."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    values = {name: pyfuncitem.funcargs[name] for name in wanted}
    asyncio.run(_in_house(pyfuncitem.obj, values))
    return True


async def _in_house(test: Any, values: dict[str, Any]) -> None:
    async with asyncio.timeout(60):
        if not {"house", "client"} & set(values):
            await test(**values)
            return
        address, polkit = values.get("house") or values["client"]
        async with House(address, polkit=polkit) as house:
            if "house" in values:
                values["house"] = house
            if "client" in values:
                values["client"] = await house.client(ROOT_UID)
            await test(**values)


@pytest.fixture
def house(bus: str) -> tuple[str, bool]:
    """In a coroutine test: the open House."""
    return bus, True


@pytest.fixture
def client(bus: str) -> tuple[str, bool]:
    """In a coroutine test: a Client of root."""
    return bus, True
