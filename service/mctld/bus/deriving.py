# SPDX-License-Identifier: GPL-3.0-or-later
"""From an image's configuration, what a container was run with, and what a caller wants, to a new configuration."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from ..configuration import Configuration
from ..errors import InvalidArgs
from ..image import compact
from .making import CONFIG, NO_LAYER, OCI, host_platform, oci_config, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..ports import Port
    from ..spec import Spec

HEALTH = {
    "HealthCommand": "as", "HealthIntervalUSec": "t", "HealthTimeoutUSec": "t", "HealthRetries": "u",
    "HealthStartPeriodUSec": "t",
}  # fmt: skip
BUILDERS = {"OnBuild": "as", "Shell": "as"}  # for those who build on it
CHANGE = {"Name": "s", "Private": "b", "Author": "s", "Comment": "s", "History": "as", **CONFIG, **HEALTH, **BUILDERS}
COMMIT = {**CHANGE, "Pause": "b", "KeepConfiguration": "b"}
DERIVE = {**CHANGE, "Archive": "h"}
_OF_ONE_BUILD = ("container", "container_config", "docker_version", "id", "parent")  # what docker writes beside OCI's
SINGLE = ("Entrypoint", "Command", "User", "WorkingDirectory", "StopSignal", *BUILDERS)


def configurer(values: Mapping[str, Any], now: float) -> Callable[[str, str | None, Spec | None], str]:
    """See lifecycle/committing.py. InvalidArgs now, not when the layer is there."""
    created = rfc3339(now)

    def configure(text: str, diff_id: str | None, ran: Spec | None) -> str:
        found = _document(text)
        config = dict(found.get("config") or {})
        if ran and not values.get("KeepConfiguration", False):
            config |= _of_container(ran, config)
        found["config"] = {key: value for key, value in _changed(config, values).items() if value}
        diff_ids = [*found["rootfs"]["diff_ids"], *([diff_id] if diff_id else [])]
        found["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
        found["created"] = created
        if values.get("Author"):
            found["author"] = values["Author"]
        found["history"] = [*(found.get("history") or []), *_steps(values, created, ran, layer=bool(diff_id))]
        return compact(found)

    try:
        Configuration.parse(configure("", NO_LAYER, None))
    except UnicodeEncodeError as error:
        raise InvalidArgs(f"{error.object!r} is not valid UTF-8") from None
    return configure


def _document(text: str) -> dict[str, Any]:
    if not text:
        machine = host_platform()
        return {"architecture": machine.architecture, "os": machine.os, "rootfs": {"diff_ids": []}}
    found: dict[str, Any] = json.loads(text)  # the service has parsed it before
    return {key: value for key, value in found.items() if key not in _OF_ONE_BUILD}


def _changed(config: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What is given replaces; variables, labels, ports and volumes are added. An entrypoint does away with the command,
    as in docker; what is given empty is taken away.
    """
    if "Entrypoint" in values and "Command" not in values:
        config.pop("Cmd", None)
    given = oci_config(values)
    for name in ("Labels", "ExposedPorts", "Volumes"):
        given[name] = {**(config.get(name) or {}), **(given.get(name) or {})}
    given["Env"] = _joined(config.get("Env") or [], values.get("Environment", []))
    taken = {name: None for key, name in OCI.items() if key in values and not values[key] and key in SINGLE}
    return {**config, **given, **taken, **_health(values)}


def _joined(old: list[str], new: list[str]) -> list[str]:
    variables = dict(text.partition("=")[::2] for text in (*old, *new))
    return [f"{name}={value}" for name, value in variables.items()]


def _health(values: Mapping[str, Any]) -> dict[str, Any]:
    if "HealthCommand" not in values:
        return {}
    command = values["HealthCommand"]
    times = {"Interval": "HealthIntervalUSec", "Timeout": "HealthTimeoutUSec", "StartPeriod": "HealthStartPeriodUSec"}
    found: dict[str, Any] = {"Test": ["CMD", *command] if command else ["NONE"]}
    found |= {name: values[key] * 1_000 for name, key in times.items() if values.get(key)}
    if values.get("HealthRetries"):
        found["Retries"] = values["HealthRetries"]
    return {"Healthcheck": found}


def _of_container(ran: Spec, config: Mapping[str, Any]) -> dict[str, Any]:
    """Run without words of one's own, the image does what the container did: docker commit."""
    entrypoint, command = list(config.get("Entrypoint") or []), list(ran.command)
    kept = entrypoint and command[: len(entrypoint)] == entrypoint
    return {
        "Entrypoint": entrypoint if kept else None,
        "Cmd": command[len(entrypoint) :] if kept else command,
        "Env": list(ran.environment),
        "User": "" if str(ran.user) in ("0", "root") and not config.get("User") else str(ran.user),
        "WorkingDir": ran.working_directory,
        "Labels": {**(config.get("Labels") or {}), **dict(ran.labels)},
        "ExposedPorts": {
            **(config.get("ExposedPorts") or {}),
            **{f"{inside}/{port.protocol}": {} for port in ran.networking.ports for inside in _inside(port)},
        },
    }


def _inside(port: Port) -> range:
    return range(port.container, port.container + port.count)


def _steps(values: Mapping[str, Any], created: str, ran: Spec | None, *, layer: bool) -> list[dict[str, Any]]:
    """History tells what was done: the last entry made the layer, if there is a new one."""
    told = list(values.get("History", ()))
    if ran and not told:
        told = [shlex.join(ran.command)]
    if not told:
        told = [values.get("Comment") or "made by mctl"]
    notes = {key: values[name] for key, name in (("author", "Author"), ("comment", "Comment")) if values.get(name)}
    found: list[dict[str, Any]] = [{"created": created, "created_by": text, "empty_layer": True} for text in told]
    found[-1] |= notes
    if layer:
        del found[-1]["empty_layer"]
    return found
