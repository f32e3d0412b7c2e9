# SPDX-License-Identifier: GPL-3.0-or-later
"""Which namespaces a container gets anew and which it enters: config-linux.md#namespaces of the specification."""

from __future__ import annotations

import errno
import os

from ..errors import InvalidArgs, SetupFailed
from ..kernel import constants as c
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reading import Value

FLAGS = {
    "cgroup": c.CLONE_NEWCGROUP,
    "ipc": c.CLONE_NEWIPC,
    "mount": c.CLONE_NEWNS,
    "network": c.CLONE_NEWNET,
    "pid": c.CLONE_NEWPID,
    "time": c.CLONE_NEWTIME,
    "user": c.CLONE_NEWUSER,
    "uts": c.CLONE_NEWUTS,
}
FILES = {"mount": "mnt", "network": "net", **{name: name for name in ("cgroup", "ipc", "pid", "time", "user", "uts")}}
LATE = ("cgroup", "time")  # not for clone3(2): the one needs the cgroup first, the other its offsets


@value(frozen=True)
class Namespaces:
    new: tuple[str, ...]
    entered: tuple[tuple[str, str], ...]  # type and path

    def has(self, kind: str) -> bool:
        """Whether the container's differs from ours, or may."""
        return kind in self.new or kind in dict(self.entered)

    @property
    def clone_flags(self) -> int:
        return sum(FLAGS[kind] for kind in self.new if kind not in LATE)


def read(given: Value) -> Namespaces:
    new: list[str] = []
    entered: dict[str, str] = {}
    for item in given.items():
        kind = item["type"].choice({name: name for name in FLAGS})
        if kind in new or kind in entered:
            raise InvalidArgs(f"{given.path} has the type {kind} twice")
        if item["path"].given and item["path"].text():
            entered[kind] = item["path"].absolute()
        else:
            new.append(kind)
    if "mount" not in new:
        raise given.error("it must have a new mount namespace: mctl-oci makes no container without one")
    return Namespaces(tuple(new), tuple(entered.items()))


def open_entered(namespaces: Namespaces) -> list[tuple[str, int]]:
    """Descriptors in the order to enter them: the user namespace last, since all others need our rights."""
    found: list[tuple[str, int]] = []
    for kind, path in sorted(namespaces.entered, key=lambda entry: entry[0] == "user"):
        try:
            found.append((kind, os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)))
        except OSError as error:
            close(found)
            raise SetupFailed(f"open the {kind} namespace {path}", error.strerror) from error
    return found


def close(opened: list[tuple[str, int]]) -> None:
    for _, descriptor in opened:
        os.close(descriptor)


def same(path: str, kind: str) -> bool:
    """Whether the process with /proc/`path` is in our own namespace of that kind."""
    ours, theirs = (os.stat(f"/proc/{who}/ns/{FILES[kind]}") for who in ("self", path))
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def explain(kind: str, error: OSError) -> SetupFailed:
    why = f"it is not a {kind} namespace" if error.errno == errno.EINVAL else error.strerror
    return SetupFailed(f"enter the {kind} namespace", why)
