# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call of Container.Update asks for, judged before anybody is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import device
from ..dangers import gained
from ..errors import InvalidArgs
from . import options
from .question import SET_LIMITS, UPDATE_PRIVILEGED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from dbus_next.signature import Variant

    from ..change import Change
    from ..spec import Spec
    from .question import Call, Question

    # What the descriptors of a call's Devices hold. In a thread: a file system of the caller's may hang.
    Look = Callable[[Call, Sequence[tuple[int, str, str]]], Awaitable[tuple[device.Device, ...]]]


async def question(about: Question, call: Call, given: Mapping[str, Variant], flags: int, look: Look) -> Question:
    """`about` is the container's. What it has not had takes what its creation with that would have taken."""
    options.check_flags(flags, {})
    values = options.parse(given, options.UPDATE)
    if not values:
        raise InvalidArgs(f"there is nothing to change: name one of {', '.join(sorted(options.UPDATE))}")
    device.check_number(len(values.get("Devices", ())))
    options.change({key: value for key, value in values.items() if key != "Devices"})  # before anything is looked at
    found = await look(call, values["Devices"]) if "Devices" in values else ()
    change = options.change(values, found)
    more = gained(_known(about, call), change.rlimits, change.devices)
    words = {"gained": "; ".join(more)} if more else {}
    so_that = " so that it has $(gained)" if more else ""
    return replace(
        about,
        actions=(SET_LIMITS, UPDATE_PRIVILEGED) if more else (SET_LIMITS,),
        args=(replace(change, consented=_all(change) if call.uid == 0 else more),),
        effect=about.effect + so_that,
        details={**about.details, **_limits(values), **_devices(change), **words},
        said=words,
        blind_effect="update the container $(container)" + so_that,
    )


def _all(change: Change) -> tuple[str, ...]:
    return gained(None, change.rlimits, change.devices)


def _known(about: Question, call: Call) -> Spec | None:
    """Of another's container nothing is said, not even by what is asked: it may as well be none."""
    subject: Any = about.subject
    return subject.spec if subject is not None and about.owner == call.uid else None


def _limits(values: Mapping[str, Any]) -> dict[str, str]:
    """As asked for; a rule may say how much is too much."""
    return {f"limits.{key}": _text(value) for key, value in values.items() if "Devices" not in key}


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(":".join(map(str, [key, *_numbers(what)])) for key, what in sorted(value.items()))
    return str(value)


def _numbers(value: int | Sequence[int]) -> Sequence[int]:
    return [value] if isinstance(value, int) else value


def _devices(change: Change) -> dict[str, str]:
    given = " ".join(f"{each.path}:{each.target}:{each.permissions}" for each in change.devices)
    taken = " ".join(change.taken)
    return {**({"devices": given} if given else {}), **({"taken_devices": taken} if taken else {})}
