# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a mount's options: which change the mount, which its propagation, and which are the file system's own.

config.md#linux-mount-options of the specification; mount(8), mount_setattr(2).
"""

from __future__ import annotations

from ..errors import InvalidArgs
from ..kernel import constants as c
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reading import Value

RELATIVE, STRICT, NEVER = 0, c.MOUNT_ATTR_STRICTATIME, c.MOUNT_ATTR_NOATIME
ATIMES = {
    "atime": RELATIVE, "relatime": RELATIVE, "nostrictatime": RELATIVE, "noatime": NEVER, "strictatime": STRICT,
    "norelatime": RELATIVE,
}  # fmt: skip
FLAGS = {
    "ro": (c.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, c.MOUNT_ATTR_RDONLY),
    "nosuid": (c.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, c.MOUNT_ATTR_NOSUID),
    "nodev": (c.MOUNT_ATTR_NODEV, 0),
    "dev": (0, c.MOUNT_ATTR_NODEV),
    "noexec": (c.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, c.MOUNT_ATTR_NOEXEC),
    "nodiratime": (c.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, c.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (c.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, c.MOUNT_ATTR_NOSYMFOLLOW),
    **{word: (kind, c.MOUNT_ATTR__ATIME) for word, kind in ATIMES.items()},
}
PROPAGATIONS = {
    "private": c.MS_PRIVATE, "shared": c.MS_SHARED, "slave": c.MS_SLAVE, "unbindable": c.MS_UNBINDABLE,
}  # fmt: skip
NOTHING = ("defaults", "async", "loud", "silent", "nomand", "nolazytime", "noiversion", "iversion", "mand")
SUPERBLOCK = ("sync", "dirsync", "lazytime")  # flags of fsconfig(2)
ID_MAPPED = {"idmap": False, "ridmap": True}


@value(frozen=True)
class Options:
    """added and removed: MOUNT_ATTR_*, here and, with each_, on all mounts below too. data: the file system's own."""

    added: int
    removed: int
    each_added: int
    each_removed: int
    propagation: int
    each_propagation: bool
    bind: bool
    recursive: bool
    remount: bool
    id_mapped: bool
    each_id_mapped: bool
    copy_up: bool
    data: tuple[tuple[str, str | None], ...]


class _Draft:
    def __init__(self) -> None:
        self.here, self.each = [0, 0], [0, 0]
        self.propagation, self.each_propagation = 0, False
        self.words: set[str] = set()
        self.data: dict[str, str | None] = {}


def read(given: Value) -> Options:
    draft = _Draft()
    for item in given.items():
        _take(draft, item.text())
    words = draft.words
    if "remount" in words and "bind" not in words and "rbind" not in words:
        raise given.error("mctl-oci supports remount only for bind mounts, where it changes nothing more")
    return Options(
        added=draft.here[0], removed=draft.here[1], each_added=draft.each[0], each_removed=draft.each[1],
        propagation=draft.propagation, each_propagation=draft.each_propagation,
        bind=bool(words & {"bind", "rbind"}), recursive="rbind" in words, remount="remount" in words,
        id_mapped=bool(words & ID_MAPPED.keys()), each_id_mapped="ridmap" in words, copy_up="tmpcopyup" in words,
        data=tuple(draft.data.items()),
    )  # fmt: skip


def _take(draft: _Draft, word: str) -> None:
    if not word or word in NOTHING:
        return
    if word in ("bind", "rbind", "remount", "tmpcopyup", *ID_MAPPED):
        draft.words.add(word)
    elif word in FLAGS:
        _change(draft.here, word)
    elif word.startswith("r") and word[1:] in FLAGS:
        _change(draft.each, word[1:])
    elif word.removeprefix("r") in PROPAGATIONS:
        draft.propagation = PROPAGATIONS[word.removeprefix("r")]
        draft.each_propagation = word.startswith("r")
    else:
        key, assigned, text = word.partition("=")
        draft.data[key] = text if assigned else None


def _change(flags: list[int], word: str) -> None:
    """The last word about a thing holds, mount(8)."""
    added, removed = FLAGS[word]
    flags[0] = flags[0] & ~removed | added
    flags[1] = flags[1] & ~added | removed


def propagation(given: Value) -> int:
    """Of rootfsPropagation; 0 where it is absent. crun and runc take the words with an r before them as well."""
    word = given.text("")
    if not word:
        return 0
    plain = word if word in PROPAGATIONS else word.removeprefix("r")
    if plain not in PROPAGATIONS:
        raise InvalidArgs(f"{given.path} is {word!r}: it must be one of {', '.join(PROPAGATIONS)}")
    return PROPAGATIONS[plain]
