# SPDX-License-Identifier: GPL-3.0-or-later
"""A specification as text, and back; what an earlier version did not write yet gets its default."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from . import activation, health, limits, networking
from .device import Device
from .image import ImageRoot
from .mounts import Bind, HostPath, Tmpfs
from .restart import RestartPolicy
from .security import Security
from .spec import Rootfs, Spec, User
from .volume import VolumeMount

LOST = '{"lost":'  # so begins what stands in for a specification that nobody has any more


def encode(spec: Spec) -> str:
    return json.dumps(asdict(spec), separators=(",", ":"))


def lost(why: str) -> str:
    """What decode() then says."""
    return json.dumps({"lost": why})


def decode(text: str) -> Spec:
    """The inverse of encode; JSON knows no tuples."""
    found: dict[str, Any] = {key: _tuples(value) for key, value in json.loads(text).items()}
    if "lost" in found:
        raise ValueError(found["lost"])
    root = _frozen(found["rootfs"])
    found["rootfs"] = ImageRoot(**root) if "layers" in root else Rootfs(**root)
    found["user"] = User(**found["user"])
    found["limits"] = limits.restored(found["limits"])
    found["networking"] = networking.restored(found.get("networking"))
    found["security"] = Security(**_frozen(found.get("security", {})))
    found["binds"] = tuple(
        Bind(**{**bind, "source": HostPath(**_frozen(bind["source"]))}) for bind in found.get("binds", ())
    )
    found["volumes"] = tuple(VolumeMount(**volume) for volume in found.get("volumes", ()))
    found["tmpfs"] = tuple(Tmpfs(**tmpfs) for tmpfs in found.get("tmpfs", ()))
    found["devices"] = tuple(Device(**device) for device in found.get("devices", ()))
    found["restart"] = RestartPolicy(**found.get("restart", {}))
    found["health"] = health.restored(found.get("health", {}))
    found["activation"] = activation.restored(found.get("activation", {}))
    return Spec(**found)


def _frozen(found: dict[str, Any]) -> dict[str, Any]:
    return {key: _tuples(value) for key, value in found.items()}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value
