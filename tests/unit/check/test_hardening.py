# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verdict on seccomp, security modules and the two settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mctld.lifecycle.check import hardening
from mctld.lifecycle.check.finding import Verdict
from mctld.lifecycle.check.hardening import ACTIONS, Seccomp
from mctld.lifecycle.check.host import Host

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (Seccomp(filters=True, actions=ACTIONS | {"log"}), Verdict.OK),
        (Seccomp(filters=True, actions=ACTIONS - {"kill_process"}), Verdict.MISSING),
        (Seccomp(filters=True, actions=None), Verdict.UNKNOWN),
        (Seccomp(filters=False, actions=None), Verdict.MISSING),
        (Seccomp(filters=True, actions=ACTIONS, library="No module named 'seccomp'"), Verdict.MISSING),
    ],
)
def test_seccomp(facts: Seccomp, verdict: Verdict) -> None:
    assert hardening.seccomp(facts).verdict is verdict


def test_seccomp_is_read(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    assert hardening.read_seccomp(host) == Seccomp(filters=False, actions=None)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/seccomp").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("Name:\tx\nSeccomp:\t0\nSeccomp_filters:\t0\n")
    (tmp_path / "proc/sys/kernel/seccomp/actions_avail").write_text("kill_process errno allow\n")
    assert hardening.read_seccomp(host) == Seccomp(filters=True, actions=ACTIONS)
    assert hardening.read_seccomp(host, "no").library == "no"


def test_security_modules() -> None:
    assert hardening.security_modules(None).verdict is Verdict.UNKNOWN
    found = hardening.security_modules("lockdown,capability,apparmor\n")
    assert (found.verdict, found.found) == (Verdict.OK, "lockdown, capability, apparmor")
    assert found.meaning != hardening.security_modules("capability").meaning


@pytest.mark.parametrize(("value", "verdict"), [(None, Verdict.UNKNOWN), (0, Verdict.WARNING), (1, Verdict.OK)])
def test_kernel_messages(value: int | None, verdict: Verdict) -> None:
    assert hardening.kernel_messages(value).verdict is verdict


@pytest.mark.parametrize(("value", "verdict"), [(None, Verdict.WARNING), (0, Verdict.OK), (1, Verdict.WARNING)])
def test_terminal_injection(value: int | None, verdict: Verdict) -> None:
    assert hardening.terminal_injection(value).verdict is verdict
