# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's side of networks is changed by several threads at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mctld.network.host import Host

if TYPE_CHECKING:
    from pathlib import Path


def test_links_may_come_while_those_of_a_bridge_are_looked_for(tmp_path: Path) -> None:
    host = Host(str(tmp_path / "forwarding"))

    class Meanwhile:
        """Compared, as networks are by Python's own code, in which another thread may have its turn."""

        def __eq__(self, other: object) -> bool:
            host._ports["mc-another"] = wanted
            return False

        __hash__ = None  # type: ignore[assignment]

    wanted: Any = Meanwhile()
    host._ports = {"mc-one": wanted, "mc-two": wanted}
    host._collect_ports(wanted, 1)
    host.close()
    assert "mc-another" in host._ports
