# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure a caller can meet: a class, its name on the bus, a sentence that says what to do."""

from __future__ import annotations

ADVICE = "`mctl check` says what this host lacks and what to do"  # after failures that a poor host explains


class MctlError(Exception):
    """A failure with a name on the bus. The message is one sentence for the person who asked."""

    bus_name = "org.mctl1.Error.Failed"


class InvalidArgs(MctlError):
    """An argument breaks its bound; the sentence names the key, the value and the bound."""

    bus_name = "org.freedesktop.DBus.Error.InvalidArgs"


class AccessDenied(MctlError):
    """polkit said no, or nobody could be asked."""

    bus_name = "org.freedesktop.DBus.Error.AccessDenied"


class InteractiveAuthorizationRequired(MctlError):
    """polkit would ask a person, but the caller did not set ALLOW_INTERACTIVE_AUTHORIZATION."""

    bus_name = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"


class UnknownObject(MctlError):
    """There is no object at the path, or none that the caller may know of."""

    bus_name = "org.freedesktop.DBus.Error.UnknownObject"


class UnknownInterface(MctlError):
    """The object has no such interface."""

    bus_name = "org.freedesktop.DBus.Error.UnknownInterface"


class UnknownMethod(MctlError):
    """The interface has no such method: perhaps the service is older than its caller."""

    bus_name = "org.freedesktop.DBus.Error.UnknownMethod"


class UnknownProperty(MctlError):
    """The interface has no such property."""

    bus_name = "org.freedesktop.DBus.Error.UnknownProperty"


class PropertyReadOnly(MctlError):
    """All properties are: methods change what can be changed."""

    bus_name = "org.freedesktop.DBus.Error.PropertyReadOnly"


class LimitsExceeded(MctlError):
    """The caller has too many calls in flight or too many objects."""

    bus_name = "org.freedesktop.DBus.Error.LimitsExceeded"


class LimitReached(MctlError):
    """A bound of mctld.conf(5), which the sentence names: an administrator can change it."""

    bus_name = "org.mctl1.Error.LimitReached"


class NoSuchContainer(MctlError):
    """There is none of that name or id that the caller may see."""

    bus_name = "org.mctl1.Error.NoSuchContainer"


class Unreadable(MctlError):
    """What is stored of the container cannot be read: it can be stopped and removed, and nothing else."""

    bus_name = "org.mctl1.Error.Unreadable"


class NameTaken(MctlError):
    """Another object has the name, perhaps one that the caller may not see."""

    bus_name = "org.mctl1.Error.NameTaken"


class NotRunning(MctlError):
    """What is asked for needs a container that runs."""

    bus_name = "org.mctl1.Error.NotRunning"


class AlreadyRunning(MctlError):
    """What is asked for needs a container that does not run."""

    bus_name = "org.mctl1.Error.AlreadyRunning"


class NoTerminal(MctlError):
    """The container was made without one."""

    bus_name = "org.mctl1.Error.NoTerminal"


class NoSuchNetwork(MctlError):
    """Or one of another user's, which looks the same."""

    bus_name = "org.mctl1.Error.NoSuchNetwork"


class NetworkInUse(MctlError):
    """Containers are connected to it."""

    bus_name = "org.mctl1.Error.NetworkInUse"


class AddressInUse(MctlError):
    """Another container has it, even if that does not run."""

    bus_name = "org.mctl1.Error.AddressInUse"


class PortInUse(MctlError):
    """Another container, or a process of the host, has a port that was to be published."""

    bus_name = "org.mctl1.Error.PortInUse"


class SubnetInUse(MctlError):
    """The host has a route into the subnet that a network would take."""

    bus_name = "org.mctl1.Error.SubnetInUse"


class Paused(MctlError):
    """The container is frozen, and what is asked for needs it to run."""

    bus_name = "org.mctl1.Error.Paused"


class NotPaused(MctlError):
    """The container is not frozen."""

    bus_name = "org.mctl1.Error.NotPaused"


class NoSuchRootfs(MctlError):
    """The root directory is missing, is no directory, or is no longer the one that was authorized."""

    bus_name = "org.mctl1.Error.NoSuchRootfs"


class NoSuchImage(MctlError):
    """There is none of that name or id among the caller's own and the shared ones."""

    bus_name = "org.mctl1.Error.NoSuchImage"


class BadImage(MctlError):
    """An archive or a configuration that is damaged, hostile, or asks for what images cannot have."""

    bus_name = "org.mctl1.Error.BadImage"


class TransferFailed(MctlError):
    """A registry, or the way to it, or what it sent: the sentence has skopeo's own words."""

    bus_name = "org.mctl1.Error.TransferFailed"


class ImageInUse(MctlError):
    """Containers have been made from it."""

    bus_name = "org.mctl1.Error.ImageInUse"


class NoSuchVolume(MctlError):
    """Or one of another user's, which looks the same."""

    bus_name = "org.mctl1.Error.NoSuchVolume"


class VolumeInUse(MctlError):
    """Containers have it."""

    bus_name = "org.mctl1.Error.VolumeInUse"


class CommandNotFound(MctlError):
    """The command does not exist inside the root file system (exit status 127 for a CLI)."""

    bus_name = "org.mctl1.Error.CommandNotFound"


class CommandNotExecutable(MctlError):
    """The command exists but cannot be executed (exit status 126 for a CLI)."""

    bus_name = "org.mctl1.Error.CommandNotExecutable"


class CopyFailed(MctlError):
    """The archive, or what is in the container, does not allow it, or there is no room."""

    bus_name = "org.mctl1.Error.CopyFailed"


class SetupFailed(MctlError):
    """A step of a start failed; everything done before it has been undone."""

    bus_name = "org.mctl1.Error.SetupFailed"

    def __init__(self, step: str, why: object) -> None:
        super().__init__(f"could not {step}: {why}")
        self.step = step


class SpawnerUnavailable(MctlError):
    """mctl-spawner.service, which bears containers, does not answer."""

    bus_name = "org.mctl1.Error.SpawnerUnavailable"


class StoreFailed(MctlError):
    """The database below /var/lib/mctl cannot be read or written to."""

    bus_name = "org.mctl1.Error.StoreFailed"


class StoreIsNewer(StoreFailed):
    """A newer version has written it: nothing but that version helps."""


class Cancelled(MctlError):
    """The service is stopping, or the call was given up."""

    bus_name = "org.mctl1.Error.Cancelled"
