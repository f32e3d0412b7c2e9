# SPDX-License-Identifier: GPL-3.0-or-later
"""What every engine in the comparison is asked for. None: it has no such thing."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.rootfs import Rootfs
    from bench.service import Service

TRUE = ("/bin/true",)
SLEEP = ("/bin/sleep", "100000")


def published(name: str, port: int) -> tuple[str, ...]:
    """The flags of Peer.on_bridge(), which all engines have in common."""
    return ("-d", "--name", name, "-p", f"{port}:80") if name else ("--rm",)


@dataclass(frozen=True)
class Store:
    """Where an engine keeps its images, and the beginnings of its commands about them."""

    directory: str
    pulling: tuple[str, ...]
    importing: tuple[str, ...]
    removing: tuple[str, ...]
    running: tuple[str, ...]

    def pull(self, name: str) -> list[str]:
        return [*self.pulling, name]

    def bring(self, archive: str, name: str) -> list[str]:
        return [*self.importing, archive, name]

    def remove(self, name: str) -> list[str]:
        return [*self.removing, name]

    def run(self, name: str) -> list[str]:
        return [*self.running, name, *TRUE]


class Peer(ABC):
    """One engine, ready after prepare()."""

    name: str
    units: tuple[str, ...] = ()  # the services that its containers need

    def __init__(self, rootfs: Rootfs) -> None:
        self.rootfs = rootfs
        self.how = ""  # flags and ground of this run, for the reader of the table
        self._numbers = itertools.count(1)

    def new_name(self) -> str:
        word = "".join(letter for letter in self.name if letter.isalnum())
        return f"bench-{word}-{next(self._numbers)}"

    @abstractmethod
    def version(self) -> str:
        """Its own account of its version. Raises FailedError where it is not installed."""

    @abstractmethod
    def prepare(self) -> None:
        """Brings its service up and the root file system in. Raises FailedError."""

    @abstractmethod
    def true(self) -> list[str]:
        """Runs /bin/true in a container without network and leaves nothing."""

    def bridged(self) -> list[str] | None:
        """The same with an address on the engine's own bridge."""
        return None

    def on_bridge(self, argv: Sequence[str], *, name: str = "", port: int = 0) -> list[str] | None:
        """Any command there; with a name it goes on in the background, and its port 80 is the host's `port`."""
        return None

    @abstractmethod
    def listing(self) -> list[str] | None: ...

    @abstractmethod
    def sleeper(self, name: str) -> list[str] | None:
        """Starts a container that sleeps, and returns."""

    @abstractmethod
    def remove(self, names: Sequence[str]) -> list[str]:
        """Ends sleepers."""

    def execution(self, name: str) -> list[str] | None:
        """Executes /bin/true in a sleeper."""
        return None

    def store(self) -> Store | None:
        """Of its images."""
        return None

    def service(self, *, bridged: bool = False) -> Service | None:
        """A connection to the service that starts its containers. bridged: with a network."""
        return None

    def talker(self, name: str, argv: Sequence[str], *, detached: bool) -> list[str] | None:
        """Starts a container whose lines go to the journal with CONTAINER_NAME."""
        return None

    def wait(self, name: str) -> None:
        """Returns when the talker has ended. Raises FailedError."""
        raise NotImplementedError(name)

    def sleepers(self, count: int) -> list[str]:
        """The names of count containers that sleep now."""
        names = [self.new_name() for _ in range(count)]
        for name in names:
            start = self.sleeper(name)
            if start:
                command.seconds(start)
        return names
