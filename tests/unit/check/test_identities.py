# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verdict on user namespaces and on the range of ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mctld.lifecycle.check import identities
from mctld.lifecycle.check.finding import Verdict
from mctld.lifecycle.check.host import Host
from mctld.lifecycle.check.identities import POOL_END, Claim, UserNamespaces
from mctld.runtime.users import FIRST

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("facts", "verdict", "says"),
    [
        (UserNamespaces(there=True, most=15_000, failure=""), Verdict.OK, "15,000"),
        (UserNamespaces(there=True, most=None, failure=""), Verdict.OK, "one was made"),
        (UserNamespaces(there=False, most=None, failure=None), Verdict.MISSING, "no user namespaces"),
        (UserNamespaces(there=True, most=0, failure=None), Verdict.MISSING, "is 0"),
        (UserNamespaces(there=True, most=15_000, failure="No space left"), Verdict.MISSING, "No space left"),
        (UserNamespaces(there=True, most=20, failure=""), Verdict.WARNING, "at most 20"),
        (UserNamespaces(there=True, most=15_000, failure=None), Verdict.UNKNOWN, "not tried"),
    ],
)
def test_user_namespaces(facts: UserNamespaces, verdict: Verdict, says: str) -> None:
    found = identities.user_namespaces(facts)
    assert (found.name, found.verdict) == ("userns", verdict)
    assert says in found.found


@pytest.mark.parametrize(
    ("first", "count", "clashes"),
    [
        (FIRST, 1, True),
        (POOL_END - 1, 1, True),
        (POOL_END, 65_536, False),
        (FIRST - 65_536, 65_536, False),
        (FIRST - 65_536, 65_537, True),
        (0, 2**32, True),
        (100_000, 65_536, False),
    ],
)
def test_a_clash_is_an_id_in_common(first: int, count: int, *, clashes: bool) -> None:
    found = identities.pool((Claim("/etc/subuid", "alice", first, count),))
    assert found.verdict is (Verdict.MISSING if clashes else Verdict.OK)
    assert ("/etc/subuid: alice" in found.found) == clashes


def test_many_clashes_are_counted() -> None:
    found = identities.pool(tuple(Claim("/etc/passwd", f"u{n}", FIRST + n, 1) for n in range(10)))
    assert "u2 has" in found.found
    assert "u3" not in found.found
    assert "and 7 more" in found.found


def test_claims_are_read(tmp_path: Path) -> None:
    etc, locks = tmp_path / "etc", tmp_path / "run/systemd/nspawn-uid"
    etc.mkdir()
    locks.mkdir(parents=True)
    (etc / "subuid").write_text("# a comment\nalice:100000:65536\nbroken:x:1\n\n")
    (etc / "subgid").write_text("bob:200000:10\n")
    (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/bash\n+::::::\n")
    (etc / "group").write_text("wheel:x:10:alice\n")
    (locks / "1342242816").touch()
    assert identities.read_claims(Host(str(tmp_path))) == (
        Claim("/etc/subuid", "alice", 100_000, 65_536),
        Claim("/etc/subgid", "bob", 200_000, 10),
        Claim("/etc/passwd", "root", 0, 1),
        Claim("/etc/group", "wheel", 10, 1),
        Claim("/run/systemd/nspawn-uid", "a machine", 1_342_242_816, 65_536),
    )
    assert identities.read_claims(Host(str(tmp_path / "empty"))) == ()
