# SPDX-License-Identifier: GPL-3.0-or-later
"""One booted machine a session, with the fresh .deb inside; nothing may be left behind by any test."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from machine import enter, host, leaks
from machine.image import DISTROS
from machine.nspawn import Nspawn
from machine.qemu import Qemu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.guest import Machine

KINDS = ("nspawn", "qemu")
PEERS = {"engines", "hosts"}  # directories of tests in machines with packages that no other test needs


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("machine")
    group.addoption("--machine", choices=KINDS, default="nspawn", help="how the machine is booted")
    group.addoption("--distro", choices=DISTROS, default=DISTROS[0], help="the Debian inside")
    group.addoption("--siege", action="store_true", help="also the tests that take minutes")
    group.addoption("--peers", action="store_true", help="also other engines on mctl-oci, firewalld and resolved")
    group.addoption("--deb", type=Path, help="the package to install; default: build it now")


def pytest_configure(config: pytest.Config) -> None:
    for line in ("nspawn: only in systemd-nspawn", "qemu: only in qemu (own kernel, every cgroup controller)",
                 "siege: takes minutes, only with --siege",
                 "both: in systemd-nspawn and in qemu",
                 "allow_journal(regex, ...): warnings of our services that this test provokes"):  # fmt: skip
        config.addinivalue_line("markers", line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects what belongs to the other kind of machine: unmarked tests run in nspawn, the quick one."""
    kind = config.getoption("--machine", default="nspawn")
    siege = config.getoption("--siege", default=False)
    left_out = set() if config.getoption("--peers", default=False) else PEERS
    kept = [item for item in items if runs_on(item, kind) and (siege or item.get_closest_marker("siege") is None)]
    kept = [item for item in kept if item.path.parent.name not in left_out]
    dropped = [item for item in items if item not in kept]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def runs_on(item: pytest.Item, kind: str) -> bool:
    if "machine" not in item.path.parts:
        return True
    marks = {mark.name for mark in item.iter_markers()}
    return kind in (marks & set(KINDS) or (KINDS if "both" in marks else {"nspawn"}))


@pytest.fixture(scope="session")
def deb(pytestconfig: pytest.Config) -> Path:
    given = pytestconfig.getoption("--deb")
    if isinstance(given, Path):
        return given.resolve()
    built = enter.build()
    if built is None:
        pytest.fail("packaging/build failed")
    return built


@pytest.fixture(scope="session")
def session_machine(pytestconfig: pytest.Config, deb: Path) -> Iterator[Machine]:
    """The machine itself; tests use `machine`."""
    if os.geteuid() != 0:
        pytest.skip("machines need root")
    distro = pytestconfig.getoption("--distro")
    machine: Machine = Qemu(distro) if pytestconfig.getoption("--machine") == "qemu" else Nspawn(distro)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an orderly end, so that nothing stays behind
    host.say(f"{machine.kind} {distro} with {deb.name}")
    with machine:
        machine.boot()
        machine.install(deb)
        yield machine


@pytest.fixture
def machine(request: pytest.FixtureRequest, session_machine: Machine) -> Iterator[Machine]:
    """A machine that has to look afterwards as it did before (see leaks.py)."""
    before = leaks.snapshot(session_machine)
    yield session_machine
    allowed = [pattern for mark in request.node.iter_markers("allow_journal") for pattern in mark.args]
    left = leaks.check(session_machine, before, allowed)
    assert not left, "left behind:\n  " + "\n  ".join(left)
