# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's own /etc/hostname, /etc/hosts and /etc/resolv.conf: files of ours that are laid over the image's."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

from ..kernel import constants as c
from ..kernel import mount
from ..spec import HOST_GATEWAY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..spec import Spec

RESOLV_CONF = "/etc/resolv.conf"
RESOLVED = "/run/systemd/resolve/resolv.conf"  # the real servers, where resolv.conf names only resolved's stub
RESOLV_CONF_MAX = 64 << 10
LOCALHOST = (
    ("localhost", "127.0.0.1"),
    ("localhost ip6-localhost ip6-loopback", "::1"),
)

_SERVER = re.compile(r"nameserver\s+(\S+)\s*")
_LOOPBACK = re.compile(r"127\.|::1$")


def contents(
    spec: Spec, host: str, addresses: Iterable[str] = (), names: str = "", gateway: str = ""
) -> dict[str, str]:
    """By file name. `host`: the host's own resolv.conf. `addresses`: the container's, if it has a network.

    names: the address of the name server that knows other containers, and asks others for the rest. gateway: of the
    host, as the container sees it.
    """
    name = spec.hostname or spec.name
    own = [(name, address) for address in addresses] or [(name, "127.0.1.1")]
    asked = [(known, gateway if address == HOST_GATEWAY else address) for known, address in spec.hosts]
    entries = (*LOCALHOST, *own, *asked)
    servers = (names,) if names else spec.name_servers
    if spec.networking.host and not servers:
        servers = tuple(_SERVER.findall(host))  # its loopback is the host's
    return {
        "hostname": f"{name}\n",
        "hosts": "".join(f"{address}\t{names}\n" for names, address in entries),
        "resolv.conf": resolv_conf(servers, host, spec.search_domains, knows_us=bool(names)),
    }


def resolv_conf(servers: tuple[str, ...], host: str, domains: tuple[str, ...] = (), *, knows_us: bool = False) -> str:
    """The host's, without servers on its loopback, which a container cannot reach; or with the asked-for servers.

    domains: in place of the host's; "." is none. knows_us: a name without a dot is a container's before it is one of a
    domain, resolv.conf(5), ndots.
    """
    lines = host.splitlines()
    found = [match[1] for line in lines if (match := _SERVER.fullmatch(line))]
    kept = servers or tuple(server for server in found if not _LOOPBACK.match(server))
    search = [line for line in lines if line.startswith("search ")]
    if domains:
        asked = " ".join(domain for domain in domains if domain != ".")
        search = [f"search {asked}"] if asked else []
    options = [line for line in lines if line.startswith("options ")]
    if knows_us and not any("ndots:" in line for line in options):
        options.append("options ndots:0")
    return "".join(f"{line}\n" for line in (*(f"nameserver {server}" for server in kept), *search, *options))


def host_resolv_conf() -> str:
    text = _read(RESOLV_CONF)
    servers = [match[1] for line in text.splitlines() if (match := _SERVER.fullmatch(line))]
    only_stub = bool(servers) and all(_LOOPBACK.match(server) for server in servers)
    return (_read(RESOLVED) or text) if only_stub else text


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(RESOLV_CONF_MAX)
    except OSError:
        return ""


def write(directory: str, files: dict[str, str], shift: int, *, read_only: bool) -> dict[str, int]:
    """Detached mounts of the files, by name; the container's root may edit them, unless `read_only`."""
    os.makedirs(directory, 0o700, exist_ok=True)
    made: dict[str, int] = {}
    try:
        for name, text in files.items():
            made[name] = _mount(f"{directory}/{name}", text, shift, c.MOUNT_ATTR_RDONLY if read_only else 0)
    except OSError:
        for descriptor in made.values():
            os.close(descriptor)
        raise
    return made


def _mount(path: str, text: str, shift: int, attributes: int) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    written = os.open(path, flags, 0o644)
    try:
        os.fchmod(written, 0o644)
        os.fchown(written, shift, shift)
        content = text.encode()
        if os.write(written, content) < len(content):  # no error where a part still fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        tree = mount.clone_tree(written)
    finally:
        os.close(written)
    mount.set_attributes(tree, attributes | c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC)
    return tree
