# SPDX-License-Identifier: GPL-3.0-or-later
"""org.mctl1.Job: one object for each piece of work that takes long, and for a while after its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UnknownObject
from . import options
from .paths import image_path, job_path
from .question import INSPECT, Question
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contract import Interface, Method
    from .engine import Job, Transfers
    from .question import Call

INTERFACE = "org.mctl1.Job"


class JobObject(Target):
    """Also stands for a path at which there is none: only who is authorized learns that."""

    def __init__(self, transfers: Transfers, interfaces: Sequence[Interface], identity: str) -> None:
        super().__init__(job_path(identity), interfaces)
        self._transfers = transfers
        self._identity = identity
        self._found = transfers.get(identity)

    @property
    def job(self) -> Job:
        if self._found is None:
            raise UnknownObject(f"there is no job {self._identity!r}; one that has ended stays for half a minute")
        return self._found

    def ask(self, call: Call, actions: tuple[str, ...], args: tuple[object, ...], verb: str) -> Question:
        found = self._found
        return Question(
            actions,
            args,
            verb,
            f"{verb} the job $(job)" + (" of user $(owner)" if found else ""),
            self._identity,
            found.owner_uid if found else None,
            {"image": found.reference, "owner": str(found.owner_uid)} if found else {},
            found,
            lambda: self._transfers.get(self._identity),
            noun="job",
        )

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        match method.name, args:
            case "Cancel", [int(flags)]:
                options.check_flags(flags, {})
                return self.ask(call, (method.action,), (), "cancel")
        return super().ask_own(call, method, args)

    def introspection_actions(self) -> tuple[str, ...]:
        return (INSPECT,)

    async def introspect(self, call: Call) -> str:
        _ = self.job  # raises where there is none
        return await super().introspect(call)

    async def wait(self, call: Call) -> tuple[str, str, str]:
        del call
        result = await self.job.wait()
        key = result.get("Key")
        return image_path(key) if key else "/", result.get("Id", ""), result.get("Digest", "")

    async def cancel(self, call: Call) -> None:
        del call
        await self.job.cancel()

    def id(self) -> str:
        return self.job.id

    def kind(self) -> str:
        return self.job.kind

    def reference(self) -> str:
        return self.job.reference

    def owner_uid(self) -> int:
        return self.job.owner_uid

    def state(self) -> str:
        return self.job.state

    def bytes(self) -> int:
        return self.job.bytes

    def layers(self) -> list[int]:
        return list(self.job.progress.counts)

    def layers_here(self) -> int:
        return self.job.layers_here

    def layer_progress(self) -> list[list[str | int]]:
        return self.job.progress.all()
