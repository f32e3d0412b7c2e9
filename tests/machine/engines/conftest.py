# SPDX-License-Identifier: GPL-3.0-or-later
"""podman, docker and containerd of Debian, on mctl-oci, in machines that have them: only with --peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from machine import host

from .machine import IMAGE, Engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def engines(pytestconfig: pytest.Config, deb: Path) -> Iterator[Engines]:
    """With an image of busybox for everybody, saved by mctl."""
    machine = Engines(pytestconfig.getoption("--distro"))
    host.say(f"engines {machine.distro} with {deb.name}")
    with machine:
        machine.boot()
        machine.install(deb)
        machine.prepare()
        machine.run(["sh", "-ec", f"mctl import --busybox; mctl save -o {IMAGE} busybox"])
        yield machine


@pytest.fixture
def clean(engines: Engines) -> Iterator[Engines]:
    """Of no container a trace is left: no state, no unit, no cgroup, no process."""
    yield engines
    assert engines.traces() == ""
