# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread of libnftables has a table of descriptors of its own: nothing else may be closed in it."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from mctld.network import firewall

if TYPE_CHECKING:
    import pytest


def test_cycles_are_not_looked_for_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    class Nftables:
        def cmd(self, commands: str) -> tuple[int, str, str]:
            seen.append(gc.isenabled())
            return 0, commands, ""

    monkeypatch.setattr(firewall._own, "nft", Nftables(), raising=False)
    assert firewall._command("list tables") == (0, "list tables", "")
    assert seen == [False]
    assert gc.isenabled()
