# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted into a container: config.md#mounts of the specification."""

from __future__ import annotations

from . import options
from .identifiers import read_maps
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .identifiers import Maps
    from .options import Options
    from .reading import Value

CGROUP = ("cgroup", "cgroup2")
UNLABELLED = ("proc", "sysfs", "mqueue", "cgroup", "cgroup2")  # a policy of SELinux labels these by itself


@value(frozen=True)
class Mount:
    target: str
    kind: str  # "bind" for every bind mount
    source: str
    options: Options
    maps: Maps | None


def read(given: Value, bundle: str) -> Mount:
    target = given["destination"].text()
    if not target.strip("/"):
        raise given["destination"].error("it must be a path below the container's root")
    words, kind = options.read(given["options"]), given["type"].text("none")
    source = given["source"].text("")
    if words.bind or kind == "bind":
        if not source:
            raise given["source"].error("a bind mount needs one")
        return Mount(
            _absolute(target), "bind", f"{bundle}/{source}" if source[0] != "/" else source, words, _maps(given)
        )
    if kind == "none":
        raise given["type"].error("it must be a type of /proc/filesystems, or the options must have bind or rbind")
    for key in ("uidMappings", "gidMappings"):
        given[key].refuse("only bind mounts can have mappings of their own")
    if words.id_mapped:
        raise given["options"].error("mctl-oci maps the ids of bind mounts only")
    if words.copy_up and kind != "tmpfs":
        raise given["options"].error("tmpcopyup is for tmpfs")
    return Mount(_absolute(target), kind, source or kind, words, None)


def _absolute(path: str) -> str:
    """Relative ones are deprecated and mean the same; .. is taken away here, links are the stage's affair."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _maps(given: Value) -> Maps | None:
    uids, gids = given["uidMappings"], given["gidMappings"]
    if uids.given != gids.given:
        raise (gids if uids.given else uids).error("a mount has either both mappings or none")
    return read_maps(uids, gids) if uids.given else None
