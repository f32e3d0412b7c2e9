# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl-activate@NAME.socket: PID 1 listens, and starts mctl-activate@NAME.service at the first connection.

The socket is transient, so that nothing has to be read anew; the service is a template of the package's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbus_next.signature import Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..ports import Port

PREFIX = "mctl-activate@"
SOCKETS = f"{PREFIX}*.socket"


def socket_name(name: str) -> str:
    return f"{PREFIX}{name}.socket"


def service_name(name: str) -> str:
    return f"{PREFIX}{name}.service"


def container_name(unit: str) -> str:
    """The inverse of socket_name."""
    return unit.removeprefix(PREFIX).removesuffix(".socket")


def properties(name: str, ports: Iterable[Port]) -> list[list[Any]]:
    """For StartTransientUnit. A container that fails at each connection must not close its port for ever: no limits
    of triggers. An address may come after us at boot (FreeBind)."""
    return [
        ["Description", Variant("s", f"Ports that start container {name}")],
        ["Documentation", Variant("as", ["man:mctl(1)"])],
        ["Listen", Variant("a(ss)", [["Stream", address] for port in ports for address in _addresses(port)])],
        ["BindIPv6Only", Variant("s", "both")],
        ["FreeBind", Variant("b", True)],  # noqa: FBT003
        ["TriggerLimitIntervalUSec", Variant("t", 0)],
        ["Slice", Variant("s", "mctl.slice")],
        ["CollectMode", Variant("s", "inactive-or-failed")],
    ]


def _addresses(port: Port) -> Iterator[str]:
    """As ListenStream= of systemd.socket(5) has them; a number alone is all addresses of both families."""
    for number in range(port.host, port.host + port.count):
        if port.bound is None:
            yield str(number)
        else:
            yield f"[{port.address}]:{number}" if port.bound.version == 6 else f"{port.address}:{number}"
