# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with firewalld and systemd-resolved: only with --peers, since they need packages that no other test needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from machine import host
from machine.containers.conftest import MAKE_ROOTFS, Mctl

from .machine import FullHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def full_host(pytestconfig: pytest.Config, deb: Path) -> Iterator[FullHost]:
    machine = FullHost(pytestconfig.getoption("--distro"))
    host.say(f"host {machine.distro} with {deb.name}")
    with machine:
        machine.boot()
        machine.install(deb)
        machine.run(["sh", "-c", MAKE_ROOTFS])
        yield machine


@pytest.fixture
def mctl(full_host: FullHost) -> Iterator[Mctl]:
    made = Mctl(full_host)
    yield made
    names = made("ps", "-a", "-q").text.split()
    if names:
        made("rm", "-f", *names)
