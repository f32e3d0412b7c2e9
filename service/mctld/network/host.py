# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's side of networks: bridges, and links into containers. Blocking; made for threads."""

from __future__ import annotations

import contextlib
import errno
import threading
from typing import TYPE_CHECKING

from ..kernel import process
from ..kernel.constants import CLONE_NEWNET
from . import bridge, kernel_settings, macvlan, messages, routes
from .connection import LINK_NAME
from .kernel_settings import Forwarding
from .links import Link, find_link
from .netlink import Netlink

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from ..networking import Network
    from .connection import Connection


class Host:
    """Opened in the host's network namespace; from then on any thread may use it."""

    def __init__(self, record: str) -> None:
        """`record`: the file that remembers the host's own forwarding settings."""
        self._netlink = Netlink()
        self._forwarding = Forwarding(record)
        self._making = threading.Lock()
        self._ports: dict[str, Network] = {}  # the links that belong on bridges

    def close(self) -> None:
        self._netlink.close()

    def connect(self, connections: Sequence[Connection], namespace: int) -> None:
        """Give the namespace its interfaces. Leaves the calling thread in that namespace: it has to end."""
        ipv6 = kernel_settings.has_ipv6()
        if any(connection.network.macvlan is None for connection in connections):
            with self._making:
                self._forwarding.switch_on()
        for connection in connections:
            if connection.network.macvlan:
                macvlan.add_link(self._netlink, connection, namespace)
            else:
                self._add_link(connection, namespace)
        process.enter_namespaces(namespace, CLONE_NEWNET)
        with Netlink() as inside:
            for connection in connections:
                _set_up(inside, connection, ipv6=ipv6)

    def reopen(self) -> bool:
        """Packets are forwarded again, if somebody on a bridge needs that. Whether they were not."""
        with self._making:
            return bool(self._ports) and self._forwarding.switch_on()

    def disconnect(self, connection: Connection, way_out: Connection | None, namespace: int) -> None:
        """Take one interface of a container away. way_out: where its default route leads from now on, if elsewhere.

        That first: a crash in between leaves it one. Leaves the calling thread in that namespace: it has to end.
        """
        try:
            if way_out is not None:
                self.lead_out(way_out, namespace)
        finally:  # the interface there may have gone with its link
            self.cut([connection])

    def remove_inside(self, namespace: int, keep: Container[str] = (), *, renamed: bool = True) -> list[str]:
        """What has no end on the host. renamed: also what is not called as it was. Returns what it was.

        Leaves the calling thread in that namespace: it has to end.
        """
        process.enter_namespaces(namespace, CLONE_NEWNET)
        with Netlink() as inside:
            return macvlan.remove(inside, keep, renamed=renamed)

    def lead_out(self, way_out: Connection, namespace: int) -> None:
        """Its default route leads there. Leaves the calling thread in that namespace: it has to end."""
        ipv6 = kernel_settings.has_ipv6()
        process.enter_namespaces(namespace, CLONE_NEWNET)
        with Netlink() as inside:
            found = _link_inside(inside, way_out)
            inside.do(*_default_routes(found.index, way_out.network, ipv6=ipv6))

    def cut(self, connections: Iterable[Connection]) -> None:
        """Their ends on the host, though the namespace may go on."""
        for connection in connections:
            self._ports.pop(connection.link, None)
            if find_link(self._netlink, connection.link):
                self._netlink.do(messages.delete_link(connection.link))

    def disconnected(self, connections: Iterable[Connection]) -> None:
        """The namespace is gone, and the kernel takes the links down with it."""
        for connection in connections:
            self._ports.pop(connection.link, None)

    def restore(self, connections: Iterable[Connection]) -> list[str]:
        """After a start of the service: links of what runs are on their bridges, links of nobody's are removed.

        Returns what was removed.
        """
        self._ports = {c.link: c.network for c in connections if c.network.macvlan is None}
        links = [Link.parse(body) for body in self._netlink.ask(messages.list_links())]
        lost = [link.name for link in links if LINK_NAME.fullmatch(link.name) and link.name not in self._ports]
        for name in lost:
            with contextlib.suppress(OSError):  # the kernel was faster
                self._netlink.do(messages.delete_link(name))
        for network in {network.name: network for network in self._ports.values()}.values():
            self._bridge(network)
        self.reopen()
        return lost

    def check_free(self, network: Network) -> None:
        """Raises SubnetInUse where the host has a route into its subnets, InvalidArgs where its link cannot be used."""
        if network.macvlan:
            macvlan.check_parent(self._netlink, network)
        else:
            routes.check_free(self._netlink, network)

    def remove(self, network: Network, is_last: Callable[[], bool]) -> None:
        """Its bridge. With the last, packets are no longer forwarded, unless they were before.

        Whether it is the last is asked while nobody can be connected, who is in a new network by then.
        """
        if network.macvlan:
            return
        with self._making:
            if bridge.find_bridge(self._netlink, network):
                self._netlink.do(messages.delete_link(network.interface))
            if is_last():
                self._forwarding.put_back()

    def take_down(self, networks: Iterable[Network]) -> None:
        """Remove the bridges among them and what is left of links; then the host is as it was found."""
        self.restore(())
        for network in networks:
            if network.macvlan is None and bridge.find_bridge(self._netlink, network):
                self._netlink.do(messages.delete_link(network.interface))
        self._forwarding.put_back()

    def _add_link(self, connection: Connection, namespace: int) -> None:
        found = self._bridge(connection.network)
        requests = (
            messages.add_veth(
                connection.link, bridge=found.index, mtu=found.mtu,
                inside=connection.inside, mac=connection.mac, namespace=namespace,
            ),
            messages.raise_veth(connection.link, connection.alias),
        )  # fmt: skip
        try:
            self._netlink.do(*requests)
        except FileExistsError:  # of the last run, whose namespace the kernel has not taken down yet
            with contextlib.suppress(OSError):  # the kernel was faster; if it was not that, it is told now
                self._netlink.do(messages.delete_link(connection.link))
            self._netlink.do(*requests)
        self._ports[connection.link] = connection.network

    def _bridge(self, network: Network) -> Link:
        with self._making:
            found = bridge.find_bridge(self._netlink, network)
            if found is None:
                found = bridge.make_bridge(self._netlink, network)
                self._collect_ports(network, found.index)
            return found

    def _collect_ports(self, network: Network, index: int) -> None:
        """If a bridge was removed under running containers, their links are still there."""
        ports = tuple(self._ports.items())  # other threads add some
        for name in [name for name, belongs in ports if belongs == network]:
            link = find_link(self._netlink, name)
            if link:
                self._netlink.do(messages.enslave(link.index, name, index))


def _set_up(inside: Netlink, connection: Connection, *, ipv6: bool) -> None:
    """In the container's namespace: addresses and the way out."""
    found = _link_inside(inside, connection)
    requests = [
        messages.raise_link(found.index, connection.inside),
        messages.add_address(found.index, connection.address),
    ]
    if ipv6:
        kernel_settings.rely_on_ours(connection.inside)
        requests.append(messages.add_address(found.index, connection.address6))
    if connection.leads_out:
        requests += _default_routes(found.index, connection.network, ipv6=ipv6)
    try:
        inside.do(*requests)
    except OSError as error:
        raise macvlan.explain(error, connection) from error


def _link_inside(inside: Netlink, connection: Connection) -> Link:
    found = find_link(inside, connection.inside)
    if found is None:
        raise OSError(errno.ENODEV, f"the interface {connection.inside} is not there")
    return found


def _default_routes(index: int, network: Network, *, ipv6: bool) -> list[messages.Request]:
    gateways = (network.gateway, network.gateway6 if ipv6 else None)
    return [messages.add_default_route(index, gateway) for gateway in gateways if gateway]
