# SPDX-License-Identifier: GPL-3.0-or-later
"""One more command for a container that runs: frozen, and valid from birth on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .errors import InvalidArgs
from .spec import Rootfs, Spec, User

_ANY = Spec(name="any", rootfs=Rootfs("/", 0, 0), command=("any",))


@dataclass(frozen=True, slots=True)
class Execution:
    """None: as the container's own command. `environment` is added to the container's, and goes before it."""

    command: tuple[str, ...]
    environment: tuple[str, ...] = ()
    user: User | None = None
    working_directory: str | None = None
    terminal: bool = False  # one of its own, whatever the container has
    window: tuple[int, int] = (0, 0)  # rows and columns of it

    def __post_init__(self) -> None:
        self.inside(_ANY)  # the bounds are those of a container's own command
        if self.window != (0, 0) and not self.terminal:
            raise InvalidArgs("TerminalSize is given for a command without Terminal")

    def inside(self, spec: Spec) -> Spec:
        """The container's spec with this command in place of its own. Raises InvalidArgs."""
        return replace(
            spec,
            command=self.command,
            environment=(*spec.environment, *self.environment),
            user=self.user or spec.user,
            terminal=self.terminal,
            working_directory=spec.working_directory if self.working_directory is None else self.working_directory,
        )
