# SPDX-License-Identifier: GPL-3.0-or-later
"""What the child is to do, as the service tells it: one JSON document on its command line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """Numbers are descriptors; -1: none. Where there is no `process` to join, `root` is mounted, and `mounts` in it.

    name: what the archive's one top shall be called in a directory that is there; empty: as in the archive.
    into: any archive, unpacked in a directory that is there. follow: a symbolic link at the path's end.
    """

    inwards: bool
    path: str
    stream: int
    program: int
    user_namespace: bool
    process: int = -1
    root: int = -1
    ids: int = -1  # a user namespace
    mounts: tuple[tuple[int, str], ...] = ()
    name: str = ""
    into: bool = False
    keep_ids: bool = False
    follow: bool = False
    read_only: bool = False  # the root

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Request:
        found = json.loads(text)
        return cls(**{**found, "mounts": tuple((number, target) for number, target in found["mounts"])})

    @property
    def descriptors(self) -> tuple[int, ...]:
        every = (self.stream, self.program, self.process, self.root, self.ids, *(number for number, _ in self.mounts))
        return tuple(number for number in every if number >= 0)
