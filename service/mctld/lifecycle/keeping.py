# SPDX-License-Identifier: GPL-3.0-or-later
"""What PID 1 keeps of runs while there is no instance of the service, and how much of that room one user may have.

The next instance gets the names in one environment variable, LISTEN_FDNAMES of sd_listen_fds(3), and execve(2) takes no
string of more than 128 KiB: were they longer, the service could not be started any more. So they are short.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from ..errors import LimitReached
from ..systemd import notify

if TYPE_CHECKING:
    from collections.abc import Callable

ROOM = 10_000  # FileDescriptorStoreMax= of mctld.service
MOST = ROOM - 1_000  # what begins at the same time may go beyond
OF_A_RUN = 4  # its process, its output on one or two ways, what it says of itself
SOON = 1.0  # seconds; what ends earlier is not worth the fork that PID 1 closes each descriptor by
STRING_MAX = 128 << 10  # MAX_ARG_STRLEN, execve(2)
NAME_MAX = 12  # with what divides them
ROOT_UID = 0
_SHORT = {"process": "p", "stdout": "o", "stderr": "e", "terminal": "t", "notify": "n", "client-": "c"}


def name(identity: str, stream: str) -> str:
    """48 bits tell containers apart."""
    return _beginning(identity) + next(stream.replace(long, short) for long, short in _SHORT.items() if long in stream)


def _beginning(identity: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(identity.encode()).digest()[:6]).decode()


class Keeping:
    """root may have all that is left; another user half of what the others leave, so that there is always some."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._names: defaultdict[int, set[str]] = defaultdict(set)  # by owner

    def of(self, owner: int, identity: str) -> Kept:
        return Kept(self._names[owner], lambda more: self._check(owner, more), identity)

    def _check(self, owner: int, more: int) -> None:
        mine = len(self._names[owner])
        left = self._most - sum(map(len, self._names.values())) + mine
        share, of_what = (left, "all that") if owner == ROOT_UID else (left // 2, "half of what")
        if mine + more > share:
            raise LimitReached(
                f"PID 1 keeps {mine} descriptors of user {owner}'s containers that run, for a restart of the service,"
                f" and {more} more would be above {share}, {of_what} others leave: stop some, or detach from terminals"
            )


class Kept:
    """Of one container."""

    def __init__(self, names: set[str], check: Callable[[int], None], identity: str) -> None:
        self._names = names
        self.check = check  # raises LimitReached where so many more would be too many
        self.identity = identity
        self._due: dict[str, asyncio.TimerHandle] = {}

    def keep(self, stream: str, descriptor: int) -> None:
        made = name(self.identity, stream)
        self._names.add(made)
        notify.keep(made, descriptor)

    def keep_soon(self, stream: str, descriptor: int) -> None:
        """If it is not dropped before. Its place is taken at once."""
        made = name(self.identity, stream)
        self._names.add(made)
        self._due[made] = asyncio.get_running_loop().call_later(SOON, self._keep_now, made, descriptor)

    def _keep_now(self, made: str, descriptor: int) -> None:
        del self._due[made]
        notify.keep(made, descriptor)

    def drop(self, stream: str) -> None:
        made = name(self.identity, stream)
        self._names.discard(made)
        due = self._due.pop(made, None)
        if due is None:
            notify.drop(made)
        else:
            due.cancel()

    def claim(self, kept: dict[str, int]) -> dict[str, int]:
        """By stream, out of what was kept of all: reading ends of output, a terminal and its clients, and so on."""
        beginning = _beginning(self.identity)
        mine = [made for made in kept if made.startswith(beginning)]
        self._names.update(mine)
        return {_stream(made.removeprefix(beginning)): kept.pop(made) for made in mine}


def _stream(short: str) -> str:
    long = next((long for long, letter in _SHORT.items() if letter == short[:1]), "")
    return long + short[1:]
