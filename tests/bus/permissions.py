# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of who may call what: a row for every member of the contract."""

from __future__ import annotations

from typing import Any

from dbus_next.signature import Variant

from bus.house import CONTAINER, MANAGER, PROPERTIES

EXEC_OBJECT = "org.mctl1.Exec"
NETWORK = "org.mctl1.Network"
IMAGE = "org.mctl1.Image"
JOB = "org.mctl1.Job"
VOLUME = "org.mctl1.Volume"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
INSPECT = ("org.mctl1.inspect-own", "org.mctl1.inspect-all")
MANAGE = ("org.mctl1.manage-own", "org.mctl1.manage")
SET_LIMITS = ("org.mctl1.set-limits-own", "org.mctl1.set-limits")
MANAGE_UNITS = ("org.mctl1.manage-units-own", "org.mctl1.manage-units")
LOGS = ("org.mctl1.logs-own", "org.mctl1.logs")
EXEC = ("org.mctl1.exec-own", "org.mctl1.exec")
ATTACH = ("org.mctl1.attach-own", "org.mctl1.attach")
MANAGE_AND_ATTACH = (MANAGE[0], ATTACH[0], MANAGE[1], ATTACH[1])
LIST = ("org.mctl1.inspect-own",)
CREATE = ("org.mctl1.create", "org.mctl1.create-privileged")
NETWORK_ADMIN = ("org.mctl1.network-admin", "org.mctl1.network-admin")
IMAGES = ("org.mctl1.images",)
MANAGE_AND_IMAGES = (MANAGE[0], IMAGES[0], MANAGE[1], IMAGES[0])
MANAGE_IMAGE = ("org.mctl1.manage-own", "org.mctl1.images-admin")
IMAGES_ADMIN = ("org.mctl1.images-admin", "org.mctl1.images-admin")
PUBLIC = ()
# where another's and none look the same
CONCEALING = (
    INSPECT, MANAGE, MANAGE_AND_IMAGES, MANAGE_UNITS, SET_LIMITS, LOGS, EXEC, ATTACH, MANAGE_AND_ATTACH, MANAGE_IMAGE,
)  # fmt: skip

Row = tuple[tuple[str, ...], tuple[Any, ...]]
OPTIONS = {"Rootfs": Variant("h", 0), "Command": Variant("as", ["/bin/true"])}

# member: the polkit actions for one's own, then as many for others', and arguments for a call
TABLE: dict[str, Row] = {
    f"{CONTAINER}.Start": (MANAGE, ("t", 0)),
    f"{CONTAINER}.StartAttached": (MANAGE_AND_ATTACH, ("a{sv}t", {}, 0)),
    f"{CONTAINER}.Attach": (ATTACH, ("t", 0)),
    f"{CONTAINER}.Resize": (MANAGE, ("qq", 24, 80)),
    f"{CONTAINER}.Stop": (MANAGE, ("a{sv}t", {}, 0)),
    f"{CONTAINER}.Restart": (MANAGE, ("a{sv}t", {}, 0)),
    f"{CONTAINER}.Kill": (MANAGE, ("it", 15, 0)),
    f"{CONTAINER}.Remove": (MANAGE, ("t", 0)),
    f"{CONTAINER}.Freeze": (MANAGE, ("t", 0)),
    f"{CONTAINER}.Thaw": (MANAGE, ("t", 0)),
    f"{CONTAINER}.Enable": (MANAGE_UNITS, ("t", 0)),
    f"{CONTAINER}.Disable": (MANAGE_UNITS, ("t", 0)),
    f"{CONTAINER}.Update": (SET_LIMITS, ("a{sv}t", {"TasksMax": Variant("t", 9)}, 0)),
    f"{CONTAINER}.Connect": (MANAGE, ("sa{sv}t", "bridge", {}, 0)),
    f"{CONTAINER}.Disconnect": (MANAGE, ("st", "bridge", 0)),
    f"{CONTAINER}.Publish": (MANAGE, ("a(ssqqq)t", [["tcp", "", 8080, 80, 1]], 0)),
    f"{CONTAINER}.Unpublish": (MANAGE, ("a(ssqqq)t", [["tcp", "", 8080, 80, 1]], 0)),
    f"{CONTAINER}.OpenLog": (LOGS, ("a{sv}t", {}, 0)),
    f"{CONTAINER}.FollowLog": (LOGS, ("a{sv}t", {}, 0)),
    f"{CONTAINER}.Exec": (EXEC, ("asa{sv}t", ["/bin/true"], {}, 0)),
    f"{CONTAINER}.Can": (PUBLIC, ("as", [])),
    f"{CONTAINER}.Export": (MANAGE, ("ha{sv}t", 0, {}, 0)),
    f"{CONTAINER}.ListChanges": (MANAGE, ("ht", 0, 0)),
    f"{CONTAINER}.Commit": (MANAGE_AND_IMAGES, ("a{sv}t", {"Name": Variant("s", "new")}, 0)),
    f"{CONTAINER}.Rename": (MANAGE, ("st", "other", 0)),
    f"{CONTAINER}.GetProcesses": (INSPECT, ("t", 0)),
    f"{CONTAINER}.CopyIn": (EXEC, ("sha{sv}t", "/tmp", 0, {}, 0)),
    f"{CONTAINER}.CopyOut": (EXEC, ("sht", "/tmp", 0, 0)),
    f"{EXEC_OBJECT}.Kill": (MANAGE, ("it", 15, 0)),
    f"{EXEC_OBJECT}.Wait": (INSPECT, ("",)),
    f"{MANAGER}.CreateContainer": (CREATE, ("sa{sv}t", "new", OPTIONS, 0)),
    f"{MANAGER}.RunContainer": (CREATE, ("sa{sv}t", "new", OPTIONS, 0)),
    f"{MANAGER}.GetContainer": (INSPECT, ("s", "web")),
    f"{MANAGER}.StartInUnit": (MANAGE_UNITS, ("s", "web")),
    f"{MANAGER}.GetDiskUsage": (LIST, ("t", 0)),
    f"{MANAGER}.GetStats": (LIST, ("a{sv}t", {}, 0)),
    f"{MANAGER}.ListContainers": (LIST, ("a{sv}t", {}, 0)),
    f"{MANAGER}.WaitContainer": (INSPECT, ("s", "web")),
    f"{MANAGER}.Can": (PUBLIC, ("as", [])),
    f"{MANAGER}.WaitReady": (INSPECT, ("s", "web")),
    f"{MANAGER}.Check": (LIST, ("",)),
    f"{MANAGER}.OpenEvents": (LIST, ("a{sv}t", {}, 0)),
    f"{MANAGER}.CreateNetwork": (NETWORK_ADMIN, ("sa{sv}t", "new", {}, 0)),
    f"{MANAGER}.ListNetworks": (LIST, ("t", 0)),
    f"{NETWORK}.Remove": (NETWORK_ADMIN, ("t", 0)),
    f"{IMAGE}.Tag": (MANAGE_IMAGE, ("st", "other:1", 0)),
    f"{IMAGE}.Untag": (MANAGE_IMAGE, ("st", "web", 0)),
    f"{IMAGE}.Remove": (MANAGE_IMAGE, ("t", 0)),
    f"{IMAGE}.Check": (INSPECT, ("t", 0)),
    f"{IMAGE}.Save": (INSPECT, ("ht", 0, 0)),
    f"{IMAGE}.Export": (INSPECT, ("hst", 0, "/", 0)),
    f"{IMAGE}.Resolve": (INSPECT, ("s", "/bin")),
    f"{IMAGE}.Share": (IMAGES_ADMIN, ("t", 1)),
    f"{MANAGER}.ImportImage": (IMAGES, ("sa{sv}t", "new", {"Archive": Variant("h", 0)}, 0)),
    f"{MANAGER}.DeriveImage": (IMAGES, ("sa{sv}t", "web", {"Archive": Variant("h", 0)}, 0)),
    f"{MANAGER}.LoadImages": (IMAGES, ("a{sv}t", {"Archive": Variant("h", 0)}, 0)),
    f"{MANAGER}.PullImage": (IMAGES, ("sa{sv}t", "example.org/new", {}, 0)),
    f"{MANAGER}.PushImage": (IMAGES, ("ssa{sv}t", "web", "example.org/new", {}, 0)),
    f"{MANAGER}.DiscardDownloads": (MANAGE[:1], ("t", 0)),
    f"{MANAGER}.CreateVolume": (CREATE[:1], ("sa{sv}t", "new", {}, 0)),
    f"{MANAGER}.GetVolume": (INSPECT, ("s", "web")),
    f"{MANAGER}.ListVolumes": (LIST, ("t", 0)),
    f"{VOLUME}.Remove": (MANAGE, ("t", 0)),
    f"{JOB}.Wait": (INSPECT, ("",)),
    f"{JOB}.Cancel": (MANAGE, ("t", 0)),
    f"{MANAGER}.SaveImages": (LIST, ("hast", 0, ["web"], 0)),
    f"{MANAGER}.GetImage": (INSPECT, ("s", "web")),
    f"{MANAGER}.ListImages": (LIST, ("a{sv}t", {}, 0)),
    f"{MANAGER}.Subscribe": (LIST, ("",)),
    f"{MANAGER}.Unsubscribe": (LIST, ("",)),
    f"{OBJECT_MANAGER}.GetManagedObjects": (LIST, ("",)),
    "org.freedesktop.DBus.Peer.Ping": (PUBLIC, ("",)),
    "org.freedesktop.DBus.Peer.GetMachineId": (PUBLIC, ("",)),
    f"{INTROSPECTABLE}.Introspect": (INSPECT, ("",)),
    f"{PROPERTIES}.Get": (INSPECT, ("ss", CONTAINER, "Name")),
    f"{PROPERTIES}.GetAll": (INSPECT, ("s", CONTAINER)),
}
FORETELLING = {f"{CONTAINER}.Can", f"{MANAGER}.Can"}  # they ask polkit about others, and never a person
NEVER_ALLOWED = {f"{PROPERTIES}.Set"}  # no property of ours is writable; tests/bus/test_logcontrol.py
LOG_CONTROL = "org.freedesktop.LogControl1"
PUBLIC_PROPERTIES = {
    f"{MANAGER}.Version", f"{MANAGER}.Features",
    f"{LOG_CONTROL}.LogLevel", f"{LOG_CONTROL}.LogTarget", f"{LOG_CONTROL}.SyslogIdentifier",
}  # fmt: skip
