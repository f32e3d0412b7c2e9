# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the checks that a few small files answer at once: for the start of the service, and for Features."""

from __future__ import annotations

import os
import uuid

from ... import chronicle
from . import cgroups, hardening, identities, kernel
from .finding import Finding, Verdict
from .host import Host

MESSAGE_LACKING = uuid.UUID("ccc20686103f49b18228952f224035c3")


def findings(host: Host) -> list[Finding]:
    """In a fraction of a millisecond."""
    hierarchy = cgroups.read(host)
    return [
        kernel.release(os.uname().release),
        kernel.namespaces(kernel.read_namespaces(host)),
        identities.user_namespaces(identities.read_namespaces(host, "")),
        cgroups.hierarchy(hierarchy),
        *cgroups.controllers(hierarchy),
        hardening.seccomp(hardening.read_seccomp(host)),
    ]


def features(host: Host) -> tuple[str, ...]:
    """Words for programs, which stay as they are: what is not here would be refused."""
    present = {finding.name for finding in findings(host) if finding.verdict is not Verdict.MISSING}
    if "kernel" in present:
        present.add("idmap")
    return tuple(sorted(present - {"kernel", "namespaces", "cgroup"}))


def note_lacking() -> None:
    """One entry in the journal if the host cannot keep all promises."""
    names = [finding.name for finding in findings(Host()) if finding.verdict is Verdict.MISSING]
    if names:
        chronicle.send(
            f"This host lacks {', '.join(names)}: `mctl check` says what that means and what to do",
            MESSAGE_ID=MESSAGE_LACKING.hex,
            PRIORITY=4,
        )
