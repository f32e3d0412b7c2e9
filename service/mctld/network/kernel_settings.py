# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings below /proc/sys/net. A thread sees those of the network namespace that it is in.

What is changed for the host as a whole is written down first, in a file that lasts until the next boot as the
settings do, and put back from there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re

_NET = "/proc/sys/net"
_LONGEST = 4096  # bytes of a value
FORWARDING = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")
LOCAL = re.compile(r"/(all|default|lo|mctl[^/]*)/")

Changes = dict[str, list[str]]  # setting -> what was found, what was set


def has_ipv6() -> bool:
    return read("ipv6/conf/all/disable_ipv6") == "0"


def read(name: str) -> str | None:
    """None where the kernel has no such setting, as without IPv6."""
    try:
        file = os.open(f"{_NET}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.read(file, _LONGEST).decode("ascii").strip()
    finally:
        os.close(file)


def write(name: str, value: str) -> None:
    """Raises FileNotFoundError where the kernel has no such setting."""
    file = os.open(f"{_NET}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, value.encode("ascii"))
    finally:
        os.close(file)


def rely_on_ours(interface: str) -> None:
    """All addresses and routes come from us, so what neighbours say of them is not listened to.

    A container must not be able to give others, or the host, a router: CVE-2020-13401. Duplicate address detection
    would keep the link-local address, and with it neighbour discovery for others, waiting for seconds.
    """
    for name in ("accept_ra", "accept_dad"):
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            write(f"ipv6/conf/{interface}/{name}", "0")


class Forwarding:
    """Packets pass between networks while it is on."""

    def __init__(self, record: str) -> None:
        self._record = record

    def switch_on(self) -> bool:
        """Whether it was off."""
        changes = {name: [found, "1"] for name in FORWARDING if (found := read(name)) == "0"}
        if not changes:
            return False
        changes = {**_kept_advertisements(), **changes}
        self._remember(changes)
        for name, (_, wanted) in changes.items():
            write(name, wanted)
        return True

    def put_back(self) -> None:
        """As it was found; what somebody else has set since stays."""
        for name, (found, wanted) in reversed(self._remembered().items()):
            if read(name) == wanted:
                write(name, found)
        if os.path.exists(self._record):
            os.unlink(self._record)

    def _remember(self, changes: Changes) -> None:
        """Before anything is changed. What was found first counts."""
        os.makedirs(os.path.dirname(self._record), exist_ok=True)
        with open(f"{self._record}.new", "w", encoding="ascii") as file:
            json.dump({**changes, **self._remembered()}, file)
        os.rename(f"{self._record}.new", self._record)

    def _remembered(self) -> Changes:
        try:
            with open(self._record, encoding="ascii") as file:
                found: Changes = json.load(file)
                return found
        except FileNotFoundError:
            return {}


def _kept_advertisements() -> Changes:
    """A host that forwards stops listening to routers, and with that loses its own IPv6 default route, unless
    accept_ra is 2: Documentation/networking/ip-sysctl.rst. So what was 1 becomes 2, before forwarding is on.
    """
    if not has_ipv6():
        return {}
    names = [f"ipv6/conf/{interface}/accept_ra" for interface in os.listdir(f"{_NET}/ipv6/conf")]
    return {name: ["1", "2"] for name in names if not LOCAL.search(name) and read(name) == "1"}
