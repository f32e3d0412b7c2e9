# SPDX-License-Identifier: GPL-3.0-or-later
"""What org.mctl1.Manager does with registries: each is a job."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..bounds import shown
from ..errors import InvalidArgs, NoSuchImage
from ..image import compact
from ..lifecycle.carriage import Access
from ..platform import Platform
from ..reference import Reference
from . import openings, options
from .image import image_details
from .making import host_platform
from .paths import job_path
from .question import IMAGES_ADMIN, Question
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .contract import Method
    from .engine import Registry
    from .question import Call

ACCESS = {"Authentication": "h", "VerifyTLS": "b"}
PULL = {**ACCESS, "Platform": "s", "Private": "b"}
EVERYBODYS = 1  # flag
AUTHENTICATION_MAX = 64 << 10  # bytes
AUTHENTICATION_KEYS = {"auth", "identitytoken"}


class TransferManager(Target):
    """The part of the manager that is about registries."""

    def __init__(self, path: str, interfaces: Any, registry: Registry) -> None:
        super().__init__(path, interfaces)
        self._transfers = registry.transfers
        self._images = registry.images

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        match method.name, args:
            case "PullImage", [str(name), dict(given), int(flags)]:
                options.check_flags(flags, {})
                return self._pull(call, method, Reference.parse_any(name), options.parse(given, PULL))
            case "PushImage", [str(key), str(name), dict(given), int(flags)]:
                options.check_flags(flags, {})
                return self._push(call, method, key, Reference.parse(name), options.parse(given, ACCESS))
            case "DiscardDownloads", [int(flags)]:
                options.check_flags(flags, {EVERYBODYS: "of all users"})
                actions = (IMAGES_ADMIN,) if flags & EVERYBODYS else (method.action,)
                owner = "" if flags & EVERYBODYS else str(call.uid)
                effect = "remove what interrupted pulls have left"
                return Question(actions, (bool(flags),), "discard-downloads", effect, details={"owner": owner})
        return super().ask_own(call, method, args)

    def pull_image(
        self,
        call: Call,
        reference: Reference,
        platform: Platform,
        access: Access,
        shared: bool,  # noqa: FBT001 (as in the question)
    ) -> str:
        return job_path(self._transfers.pull(reference, call.uid, platform, access, shared=shared).id)

    def push_image(self, call: Call, key: str, reference: Reference, access: Access) -> str:
        found = self._images.find(call.uid, key)
        if found is None:
            raise NoSuchImage(f"there is no image {shown(key)} that you may use")
        return job_path(self._transfers.push(found, reference, call.uid, access).id)

    async def discard_downloads(self, call: Call, everybodys: bool) -> int:  # noqa: FBT001 (as in the question)
        return await self._transfers.give_up_kept(None if everybodys else call.uid)

    def _pull(self, call: Call, method: Method, reference: Reference, values: Mapping[str, Any]) -> Question:
        platform = Platform.parse(values["Platform"]) if "Platform" in values else host_platform()
        access, shared = _access(call, reference, values), call.uid == 0 and not values.get("Private", False)
        details = {"image": str(reference), "owner": str(call.uid), "shared": "yes" if shared else "no"}
        details["signed"] = "yes" if self._transfers.is_signed(reference) else "no"
        return Question(
            (method.action,),
            (reference, platform, access, shared),
            "pull",
            "pull the image $(image)",
            details={**details, **_access_details(reference, access)},
        )

    def _push(self, call: Call, method: Method, key: str, reference: Reference, values: Mapping[str, Any]) -> Question:
        found = self._images.find(call.uid, key)
        access = _access(call, reference, values)
        return Question(
            (method.action,),
            (key, reference, access),
            "push",
            "push the image $(image) to $(reference)",
            details={
                **(image_details(found) if found else {"image": key}),
                "reference": str(reference),
                **_access_details(reference, access),
            },
            subject=found.id if found else None,
            again=lambda: getattr(self._images.find(call.uid, key), "id", None),
        )


def _access(call: Call, reference: Reference, values: Mapping[str, Any]) -> Access:
    text = "{}"
    if "Authentication" in values:
        text = _authentication(call.fds.peek(int(values["Authentication"])), reference.registry)
    return Access(text, bool(values.get("VerifyTLS", True)))


def _access_details(reference: Reference, access: Access) -> dict[str, str]:
    return {"registry": reference.registry, "tls_verify": "yes" if access.verify else "no"}


def _authentication(descriptor: int, registry: str) -> str:
    """One entry of a containers-auth.json(5), for this registry alone. Nothing else of such a file gets to skopeo: it
    may name programs to execute.
    """
    openings.readable_file(descriptor, "Authentication")
    try:
        found = json.loads(os.pread(descriptor, AUTHENTICATION_MAX, 0))
    except (OSError, ValueError, RecursionError):
        found = None
    right = isinstance(found, dict) and found and not found.keys() - AUTHENTICATION_KEYS
    if not right or not all(isinstance(value, str) for value in found.values()):
        raise InvalidArgs(f"Authentication is not a JSON object with {' or '.join(sorted(AUTHENTICATION_KEYS))}")
    return compact({"auths": {registry: found}})
