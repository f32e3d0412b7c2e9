# SPDX-License-Identifier: GPL-3.0-or-later
"""Images and containers meet: options that become an image's configuration, a configuration that becomes options."""

from __future__ import annotations

import datetime
import os
from typing import TYPE_CHECKING, Any

from ..configuration import Configuration, signal_number
from ..errors import InvalidArgs
from ..image import compact
from ..mounts import plain
from ..platform import Platform
from ..spec import LABEL_MAX, LABELS_BYTES, LABELS_MAX, length_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..health import HealthCheck

CONFIG = {
    "Entrypoint": "as", "Command": "as", "Environment": "as", "User": "s", "WorkingDirectory": "s", "StopSignal": "s",
    "Labels": "a{ss}", "ExposedPorts": "as", "Volumes": "as",
}  # fmt: skip
IMPORT = {"Archive": "h", "Private": "b", "Author": "s", "Comment": "s", "CreateTimestamp": "t", **CONFIG}
OCI = {
    "Entrypoint": "Entrypoint", "Command": "Cmd", "Environment": "Env", "User": "User",
    "WorkingDirectory": "WorkingDir", "StopSignal": "StopSignal", "Labels": "Labels", "OnBuild": "OnBuild",
    "Shell": "Shell",
}  # fmt: skip
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}  # Go's names, as OCI has them
LAST_USEC = 253_402_300_799_999_999  # RFC 3339 has four digits for the year
NO_LAYER = f"sha256:{'0' * 64}"


def host_platform() -> Platform:
    machine = os.uname().machine
    return Platform("linux", _ARCHITECTURES.get(machine, machine), "v7" if machine == "armv7l" else "")


def rfc3339(now: float) -> str:
    return datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def configuration_maker(values: Mapping[str, Any], now: float) -> Callable[[str], str]:
    """From IMPORT options to a function of the layer's digest. InvalidArgs now, not when the layer is there."""
    created = rfc3339(_created(values, now))
    machine = host_platform()

    def configure(diff_id: str) -> str:
        return compact(
            {
                "architecture": machine.architecture,
                "os": "linux",
                "created": created,
                **({"author": values["Author"]} if values.get("Author") else {}),
                "config": oci_config(values),
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
                "history": [{"created": created, "comment": values.get("Comment", "imported by mctl")}],
            }
        )

    try:
        Configuration.parse(configure(NO_LAYER))
    except UnicodeEncodeError as error:
        raise InvalidArgs(f"{error.object!r} is not valid UTF-8") from None
    return configure


def _created(values: Mapping[str, Any], now: float) -> float:
    """As the caller says: the same archive then becomes the same image, whenever that is."""
    if "CreateTimestamp" not in values:
        return now
    given = int(values["CreateTimestamp"])
    if given > LAST_USEC:
        raise InvalidArgs(f"CreateTimestamp {given} is after the year 9999")
    return given // 1_000_000


def oci_config(values: Mapping[str, Any]) -> dict[str, Any]:
    found = {OCI[key]: value for key, value in values.items() if key in OCI and value}
    for key in ("ExposedPorts", "Volumes"):
        if values.get(key):
            found[key] = {name: {} for name in values[key]}
    return found


def completed(values: Mapping[str, Any], image: Configuration) -> dict[str, Any]:
    """The options of a container with what the image says for those that were not given, as docker does it.

    An entrypoint that was given does away with the image's command. Labels that are too long for a container stay the
    image's.
    """
    found = {key: value for key, value in values.items() if key not in ("Image", "Entrypoint")}
    given = list(values.get("Command", ()))
    if "Entrypoint" in values:
        found["Command"] = [*values["Entrypoint"], *given]
    else:
        found["Command"] = [*image.entrypoint, *(given or image.command)]
    if not found["Command"]:
        raise InvalidArgs(f"the image {values['Image']} says no command: name the program to run")
    variables = dict(v.partition("=")[::2] for v in (*image.environment, *values.get("Environment", ())))
    found["Environment"] = [f"{name}={value}" for name, value in variables.items()]
    if image.user:
        found.setdefault("User", image.user)
    found.setdefault("WorkingDirectory", image.working_directory or "/")
    if image.stop_signal:
        found.setdefault("StopSignal", signal_number(image.stop_signal))
    if image.health:
        for key, value in _health(image.health).items():
            found.setdefault(key, value)
    labels = values.get("Labels", {})
    found["Labels"] = {**_short_labels(image, labels), **labels}
    found["Volumes"] = [*values.get("Volumes", ()), *_own_volumes(values, image)]
    return found


def _own_volumes(values: Mapping[str, Any], image: Configuration) -> list[tuple[str, str, str]]:
    """Where the image says that there is data, and nothing else was asked for."""
    asked = [target for _, target, _ in (*values.get("Mounts", ()), *values.get("Volumes", ()))]
    taken = {plain(target) for target in (*asked, *values.get("Tmpfs", {}))}
    return [("", plain(path), "") for path in image.volumes if plain(path) not in taken]


def _health(check: HealthCheck) -> dict[str, Any]:
    return {
        "HealthCommand": list(check.command), "HealthIntervalUSec": check.interval_usec,
        "HealthTimeoutUSec": check.timeout_usec, "HealthRetries": check.retries,
        "HealthStartPeriodUSec": check.start_period_usec,
    }  # fmt: skip


def _short_labels(image: Configuration, given: Mapping[str, str]) -> dict[str, str]:
    """As many as there is room for beside those that are given."""
    fit = [
        (key, value)
        for key, value in image.labels
        if key not in given
        and (len(os.fsencode(key)) <= 128 and len(os.fsencode(value)) <= LABEL_MAX and (key + value).isprintable())
    ]
    room, found = LABELS_BYTES - sum(map(length_of, given.items())), dict[str, str]()
    for label in fit[: max(LABELS_MAX - len(given), 0)]:
        if length_of(label) <= room:
            room -= length_of(label)
            found[label[0]] = label[1]
    return found
