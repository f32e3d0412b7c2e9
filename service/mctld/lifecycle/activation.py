# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that start a container: PID 1 listens there as long as the container exists, whether it runs or not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..errors import MctlError
from ..systemd.activation import SOCKETS, container_name, properties, service_name, socket_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..store import Record
    from .machinery import Machinery

log = logging.getLogger(__name__)


async def listen(machinery: Machinery, record: Record) -> None:
    """All its ports, or none. Raises PortInUse."""
    if not record.spec.activation:
        return
    await machinery.networks.publishing.expect(record)
    try:
        await _open(machinery, record)
    except BaseException:
        machinery.networks.publishing.expect_no_more(record)
        raise


async def deafen(machinery: Machinery, record: Record) -> None:
    """Nobody who calls starts it any more; connections that are open go on."""
    if record.spec.activation:
        await machinery.systemd.stop_rest(socket_name(record.spec.name))


async def hang_up(machinery: Machinery, record: Record) -> None:
    """Also the connections that are open; then its ports are free. Not under the container's lock: PID 1 may wait for a
    process that is asking us to stop it."""
    if record.spec.activation:
        await machinery.systemd.stop_rest(service_name(record.spec.name))
        machinery.networks.publishing.expect_no_more(record)


async def restore(machinery: Machinery, records: Sequence[Record], *, unreadable: set[str]) -> None:
    """After a start of the service, and so after a boot: PID 1 listens for all that exist, and for no others."""
    wanted = {record.spec.name: record for record in records if record.spec.activation}
    try:
        found = {container_name(unit) for unit in await machinery.systemd.active(SOCKETS)}
    except MctlError as error:
        log.error("Nobody can say at which ports PID 1 listens for containers: %s", error)
        return
    for name in found - set(wanted) - unreadable:
        await machinery.systemd.stop_rest(socket_name(name))
        await machinery.systemd.stop_rest(service_name(name))
    for name, record in wanted.items():
        if name in found:
            machinery.networks.publishing.expects(record)
        else:
            await _restore(machinery, record)


async def _restore(machinery: Machinery, record: Record) -> None:
    """A relay that is left would keep PID 1 from listening. An address that comes later in the boot is no error."""
    machinery.networks.publishing.expects(record)
    try:
        await machinery.systemd.stop_rest(service_name(record.spec.name))
        await _open(machinery, record)
    except MctlError as error:
        log.error("Connections do not start container %s: %s", record.spec.name, error)


async def _open(machinery: Machinery, record: Record) -> None:
    name = record.spec.name
    await machinery.systemd.start_transient(socket_name(name), properties(name, record.spec.activation.ports))
