# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's cgroup: made and limited before the first instruction, found again, and taken away."""

from __future__ import annotations

import os

from ...errors import SetupFailed
from . import files
from . import place as places
from .place import CGROUPFS, DISABLED, SYSTEMD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..configuration import Configuration
    from ..devices import Rule
    from .place import Place


def enter(
    place: Place, name: str, pid: int, asked: Configuration, made: Callable[[str], None], *, rootless: bool
) -> str:
    """Moves the process there, with all limits in force when it returns. The cgroup's directory, or nothing.

    `made` is told the directory as soon as it is ours, so that it is removed if a limit fails.
    """
    if place.manager == DISABLED:
        _refuse_limits(asked)
        return ""
    if place.manager == SYSTEMD:
        _start_scope(place, name, pid, asked, rootless=rootless)
        directory = places.of_process(pid)
        if os.path.basename(directory) != place.unit:  # a process that has ended is moved nowhere
            raise SetupFailed(f"move the container's process into {place.unit}", f"it is in {directory}: has it ended?")
        made(directory)
    else:
        directory = files.make(place.path)
        made(directory)
        files.attach(directory, pid)
    if files.is_frozen(directory):
        raise SetupFailed(f"use the cgroup {directory}", "it is frozen, so nothing in it would ever run")
    files.apply(directory, asked.resources.files)
    if not rootless:
        from . import ownership, rules  # not above: delete needs neither, and is another process

        rules.install(directory, _rules(asked))
        _give(directory, ownership.owner(asked))
    return directory


def _give(directory: str, uid: int | None) -> None:
    if uid is None:
        return
    from . import ownership

    try:
        ownership.give(directory, uid)
    except OSError as error:
        raise SetupFailed(f"give the cgroup {directory} to user {uid}", error.strerror) from error


def _refuse_limits(asked: Configuration) -> None:
    if any(text != files.MAXIMUM for _, text in asked.resources.files):
        raise SetupFailed("limit the container", "without a cgroup there is nothing to limit it with")


def _start_scope(place: Place, name: str, pid: int, asked: Configuration, *, rootless: bool) -> None:
    from . import bus, scope

    manager = bus.Manager(user=rootless)
    try:
        wanted = scope.properties(place, name, pid, asked.resources.files, asked.annotations)
        manager.start_scope(place.unit, wanted)
    finally:
        manager.close()


def _rules(asked: Configuration) -> tuple[Rule, ...]:
    """Without a list, what the container has nodes of: config-linux.md#devices."""
    from ..devices import FIFO, Rule

    if asked.resources.rules is not None:
        return asked.resources.rules
    return tuple(
        Rule(allow=True, kind=device.kind, major=device.major, minor=device.minor, access="rwm")
        for device in asked.devices
        if device.kind != FIFO
    )


def leave(manager: str, unit: str, directory: str, *, rootless: bool) -> None:
    """Everything in it is ended, and it is gone when this returns. Without a directory, only the unit is."""
    if directory and os.path.isdir(directory):
        _empty(directory)
        if manager == CGROUPFS:
            files.remove(directory)
    if manager == SYSTEMD and (not directory or os.path.isdir(directory)):
        _stop_scope(unit, rootless=rootless)


def _empty(directory: str) -> None:
    if f"{places.of_process(os.getpid())}/".startswith(f"{directory}/"):
        raise SetupFailed(f"remove the cgroup {directory}", "this command itself runs in it")
    files.kill_all(directory)
    files.is_emptied(directory)


def _stop_scope(unit: str, *, rootless: bool) -> None:
    from . import bus

    connection = bus.Manager(user=rootless)
    try:
        connection.stop(unit)
    finally:
        connection.close()


def change(manager: str, unit: str, directory: str, limits: Iterable[tuple[str, str]], *, rootless: bool) -> None:
    """Of a container that runs: PID 1 is told too, or it would take the change back at the next daemon-reload."""
    limits = tuple(limits)
    if not directory:
        raise SetupFailed("change limits", "the container has no cgroup")
    from . import scope

    wanted = scope.limit_properties(limits)
    if manager == SYSTEMD and wanted:
        from . import bus

        connection = bus.Manager(user=rootless)
        try:
            connection.set_properties(unit, wanted)
        finally:
            connection.close()
    files.apply(directory, limits)
