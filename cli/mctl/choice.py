# SPDX-License-Identifier: GPL-3.0-or-later
"""What --filter of ps says that the service does not choose by: docker's and podman's words, on what is listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .names import FEWEST_DIGITS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Container = dict[str, Any]
    Test = Callable[[Container], bool]

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_ ")
HEALTH = ("none", "starting", "healthy", "unhealthy")
NEEDS = {
    "name": ("Name",), "id": ("Id",), "image": ("Image", "ImageId"), "health": ("Health",),
    "exited": ("State", "ExitHow", "ExitStatus"), "network": ("Networks",), "volume": ("Volumes", "Mounts"),
    "before": ("Name", "Id", "CreateTimestamp"), "since": ("Name", "Id", "CreateTimestamp"), "publish": ("Ports",),
}  # fmt: skip
ORDER = ("before", "since")  # that name another container


def check(flag: str, key: str, value: str) -> None:
    """Raises UsageError for a value that no container can have."""
    if key == "health" and value not in HEALTH:
        raise UsageError(f"{flag} {key}={value[:80]!r}: give one of {', '.join(HEALTH)}")
    if key == "exited" and not (value.isascii() and value.isdigit() and len(value) <= 3 and int(value) < 256):
        raise UsageError(f"{flag} {key}={value[:80]!r}: an exit status is a number from 0 to 255")
    if key == "publish" and not is_port(value.partition("/")[0]):
        raise UsageError(f"{flag} {key}={value[:80]!r}: give a port of the host, as 8080 or 53/udp")
    if key == "name":
        named(flag, value)


def is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5


def named(flag: str, text: str) -> Test:
    """A part of the name, or a regular expression, as docker has it; ^/web$ too, which is how docker writes names."""
    if PLAIN.issuperset(text):
        return lambda each: text in each["Name"]
    import re  # 4 ms

    try:
        pattern = re.compile(text.replace("^/", "^"))
    except re.error as error:
        raise UsageError(f"{flag} name={text[:80]!r} is no regular expression: {error}") from None
    return lambda each: pattern.search(each["Name"]) is not None


def chosen(containers: Sequence[Container], filters: Sequence[tuple[str, str]]) -> list[Container]:
    """Those that all keys let through, each by any of its values."""
    keys = {key for key, _ in filters if key in NEEDS}
    tests = [[test(key, value, containers) for at, value in filters if at == key] for key in keys]
    return [each for each in containers if all(any(fits(each) for fits in alike) for alike in tests)]


def test(key: str, value: str, every: Sequence[Container]) -> Test:
    if key == "name":
        return named("--filter", value)
    if key in ORDER:
        return ordered(key, value, every)
    tests: dict[str, Test] = {
        "id": lambda each: each["Id"].startswith(value.lower()),
        "image": lambda each: is_made_of(each, value),
        "health": lambda each: each.get("Health", "none") == value,
        "exited": lambda each: ended_with(each, int(value)),
        "network": lambda each: value in each["Networks"],
        "volume": lambda each: any(value in entry[:2] for entry in (*each["Volumes"], *each["Mounts"])),
        "publish": lambda each: any(answers(port, value) for port in each["Ports"]),
    }
    return tests[key]


def ordered(key: str, value: str, every: Sequence[Container]) -> Test:
    """Made before, or after, the container that is named."""
    alike = [each for each in every if each["Name"] == value or each["Id"].startswith(value.lower())]
    if not alike:
        raise UsageError(f"--filter {key}={value[:80]!r}: there is no such container that you may see")
    made = alike[0]["CreateTimestamp"]
    if key == "before":
        return lambda each: bool(each["CreateTimestamp"] < made)
    return lambda each: bool(each["CreateTimestamp"] > made)


def ended_with(container: Container, status: int) -> bool:
    """The exit status as `mctl wait` prints it: 137 for killed by 9."""
    if container["State"] not in ("exited", "restarting"):
        return False
    how, number = container.get("ExitHow", ""), container.get("ExitStatus", 0)
    return status == (number if how == "exited" else 128 + number if how in ("killed", "oom") else None)


def answers(port: Sequence[Any], text: str) -> bool:
    protocol, _, first, _, count = port
    number, slash, wanted = text.partition("/")
    return first <= int(number) < first + count and wanted == (protocol if slash else "")


def is_made_of(container: Container, image: str) -> bool:
    """As a name, with or without the tag latest, or by an id's beginning."""
    digest = container["ImageId"].removeprefix("sha256:")
    wanted = image.removesuffix(":latest")
    return container["Image"].removesuffix(":latest") == wanted or (
        len(wanted) >= FEWEST_DIGITS and digest.startswith(wanted.removeprefix("sha256:").lower())
    )
