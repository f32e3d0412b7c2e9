# SPDX-License-Identifier: GPL-3.0-or-later
"""One table: the name of a D-Bus error -> what a person can do about it, and the exit status."""

from __future__ import annotations

NOT_EXECUTABLE = 126  # as a shell
NOT_FOUND = 127

NOT_THERE = "the service mctld could not be reached: `mctl check` says why"
WENT_AWAY = "the service mctld went away before it answered: `mctl ps -a` shows what has come of it"
RULES = "/usr/share/doc/mctl/examples"
NO_RIGHT = f"run it as root, or let an administrator allow it by a rule for polkit(8), like those in {RULES}"
OLDER = "the service is older than this mctl: `systemctl restart mctld` after an upgrade"

FREEDESKTOP = "org.freedesktop.DBus.Error."
MCTL = "org.mctl1.Error."
SYSTEMD = "org.freedesktop.systemd1."  # why the bus could not have the service started

# name -> (sentence put before the service's own, advice put after it, exit status or None for the verb's own)
TABLE: dict[str, tuple[str, str, int | None]] = {
    FREEDESKTOP + "ServiceUnknown": (NOT_THERE, "", None),
    FREEDESKTOP + "NameHasNoOwner": (NOT_THERE, "", None),
    FREEDESKTOP + "Spawn.ChildExited": (NOT_THERE, "", None),
    FREEDESKTOP + "Spawn.ChildSignaled": (NOT_THERE, "", None),
    FREEDESKTOP + "Spawn.ServiceNotFound": (NOT_THERE, "", None),
    FREEDESKTOP + "Spawn.Failed": (NOT_THERE, "", None),
    FREEDESKTOP + "TimedOut": (NOT_THERE, "", None),
    FREEDESKTOP + "NoReply": (WENT_AWAY, "", None),
    FREEDESKTOP + "Disconnected": (WENT_AWAY, "", None),
    FREEDESKTOP + "NoServer": ("no system bus", "is dbus running, and is this the host?", None),
    FREEDESKTOP + "AccessDenied": ("not allowed", NO_RIGHT, None),
    FREEDESKTOP + "AuthFailed": ("the system bus refused the connection", "", None),
    FREEDESKTOP + "InteractiveAuthorizationRequired": (
        "this needs a password",
        f"run it on a terminal without --no-ask-password; or {NO_RIGHT}",
        None,
    ),
    FREEDESKTOP + "UnknownMethod": ("not known to the service", OLDER, None),
    FREEDESKTOP + "UnknownInterface": ("not known to the service", OLDER, None),
    FREEDESKTOP + "UnknownProperty": ("not known to the service", OLDER, None),
    FREEDESKTOP + "UnknownObject": ("", "", None),
    FREEDESKTOP + "InvalidArgs": ("", "", None),
    FREEDESKTOP + "LimitsExceeded": ("", "", None),
    MCTL + "LimitReached": ("", "", None),
    MCTL + "NoSuchContainer": ("", "", None),
    MCTL + "Unreadable": ("", "", None),
    MCTL + "NameTaken": ("", "", None),
    MCTL + "NotRunning": ("", "", None),
    MCTL + "AlreadyRunning": ("", "", None),
    MCTL + "Paused": ("", "`mctl unpause` lets it go on", None),
    MCTL + "NotPaused": ("", "", None),
    MCTL + "NoTerminal": ("", "", None),
    MCTL + "NoSuchRootfs": ("", "", None),
    MCTL + "NoSuchImage": ("", "", None),
    MCTL + "BadImage": ("", "", None),
    MCTL + "ImageInUse": ("", "", None),
    MCTL + "CopyFailed": ("", "", None),
    MCTL + "TransferFailed": ("", "", None),
    MCTL + "NoSuchVolume": ("", "`mctl volume ls` lists them", None),
    MCTL + "VolumeInUse": ("", "", None),
    MCTL + "NoSuchNetwork": ("", "`mctl network ls` lists them", None),
    MCTL + "NetworkInUse": ("", "", None),
    MCTL + "AddressInUse": ("", "", None),
    MCTL + "PortInUse": ("", "", None),
    MCTL + "SubnetInUse": ("", "", None),
    MCTL + "CommandNotFound": ("", "", NOT_FOUND),
    MCTL + "CommandNotExecutable": ("", "", NOT_EXECUTABLE),
    MCTL + "SetupFailed": ("", "", None),
    MCTL + "SpawnerUnavailable": ("", "", None),
    MCTL + "StoreFailed": ("", "", None),
    MCTL + "Cancelled": ("", "", None),
}

# As the service says what is not there.
LISTS = {
    "there is no container ": "`mctl ps -a` lists them",
    "there is no image ": "`mctl images` lists them",
    "there is no network ": "`mctl network ls` lists them",
    "there is no volume ": "`mctl volume ls` lists them",
}
NO_SUCH = (MCTL + "NoSuchContainer", FREEDESKTOP + "UnknownObject")
MISSING = (*NO_SUCH, MCTL + "NoSuchImage")
NEEDS_PASSWORD = FREEDESKTOP + "InteractiveAuthorizationRequired"
INVALID = FREEDESKTOP + "InvalidArgs"
NO_REPLY = FREEDESKTOP + "NoReply"
CANCELLED = "org.mctl1.Error.Cancelled"
RESTARTED = (NO_REPLY, CANCELLED)  # killed, or stopped in order


class UsageError(Exception):
    """The command line itself is wrong; nothing was sent. One sentence with flag, value and bound."""


class Failure(Exception):
    """The work could not be done: one sentence, the exit status, and of a D-Bus error its name and own text."""

    def __init__(self, sentence: str, *, status: int, name: str = "", text: str = "") -> None:
        super().__init__(sentence)
        self.status = status
        self.name = name
        self.text = text


def failure(name: str, message: str, *, status: int) -> Failure:
    """What the D-Bus error `name` means to a person. `status` is the verb's own exit status for failures."""
    unknown = (NOT_THERE, "", None) if name.startswith(SYSTEMD) else ("", f"({name})", None)
    before, after, own = TABLE.get(name, unknown)
    if name in MISSING:
        after = next((advice for beginning, advice in LISTS.items() if message.startswith(beginning)), "")
    said = message
    if name.startswith(MCTL) or name == INVALID:
        from .flags import with_flags

        message = with_flags(message, words=name == INVALID)
    sentence = ": ".join(part for part in (before, message.rstrip(".") if after else message) if part)
    if after:
        sentence = f"{sentence} {after}" if after.startswith("(") else f"{sentence}; {after}"
    return Failure(sentence or name, status=status if own is None else own, name=name, text=said)
