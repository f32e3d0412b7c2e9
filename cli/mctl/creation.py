# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of run and create to those of CreateContainer and RunContainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import activation, devices, limits, mounts, networking, secrets, supervision, walls
from .access import ACCESS, PULL
from .execution import directory, environment_of, user, variable, variables_of_file
from .failures import UsageError
from .labels import label, labels_of_file
from .mounts import mount_options
from .names import new_name
from .origin import entrypoint, is_path
from .parser import Option
from .signals import number
from .sizes import seconds
from .walls import wall_options

if TYPE_CHECKING:
    from .parser import Arguments


def platform(flag: str, text: str) -> str:
    """Of programs for another machine nothing here would run."""
    from .building.platform import host

    here = host()
    if text.lower() not in (here, here.removeprefix("linux/"), f"{here}/v8" if here.endswith("arm64") else here):
        raise UsageError(f"{flag} {text[:80]!r}: this host executes {here}; `mctl pull {flag}` fetches such an image")
    return text


def host_name(flag: str, text: str) -> str:
    plain = text.isascii() and text.replace("-", "a").replace(".", "a").isalnum()
    if not plain or len(text) > 64 or not (text[0].isalnum() and text[-1].isalnum()):
        raise UsageError(f"{flag} {text!r} is not a host name: use up to 64 letters, digits, - and .")
    return text


OPTIONS = (
    Option(("--name",), "how to call it; chosen by the service if not given", value="NAME", convert=new_name),
    Option(("--hostname",), "its host name in place of its name", value="NAME", convert=host_name),
    Option(("-e", "--env"), "set a variable, or pass on your own", value="K[=V]", convert=variable, repeat=True),
    Option(("--env-file",), "variables from a file", value="FILE", convert=variables_of_file, repeat=True),
    Option(("-w", "--workdir"), "where the command begins, / if not given", value="DIR", convert=directory),
    Option(("-u", "--user"), "who runs the command, 0 if not given", value="USER[:GRP]", convert=user),
    Option(("-l", "--label"), "a note of your own", value="K=V", convert=label, repeat=True),
    Option(("--label-file",), "notes from a file", value="FILE", convert=labels_of_file, repeat=True),
    *limits.OPTIONS,
    *networking.OPTIONS,
    *activation.OPTIONS,
    Option(("--stop-signal",), "what stop sends in place of TERM", value="SIGNAL", convert=number),
    Option(("--stop-timeout",), "how long stop waits before killing", value="SEC", convert=seconds),
    *walls.OPTIONS,
    *mounts.OPTIONS,
    *devices.OPTIONS,
    *secrets.OPTIONS,
    *supervision.OPTIONS,
    Option(("--machine",), "an operating system, known to machinectl"),
    Option(("-t", "--tty"), "give it a terminal of its own"),
    Option(("--entrypoint",), "execute this in place of the image's", value="PROGRAM", convert=entrypoint),
    PULL,
    Option(("--platform",), "must be this host's", value="OS/ARCH", convert=platform),
    *ACCESS,
    Option(("--cidfile",), "write its id into a file that is not there yet", value="FILE"),
    Option(("--rm",), "remove it when it ends"),
    Option(("-q", "--quiet"), "no remarks, only errors"),
)

# key of the command line -> key on the bus and its type, for what needs no more than that
DIRECT = {
    "hostname": ("Hostname", "s"),
    "workdir": ("WorkingDirectory", "s"),
    "user": ("User", "s"),
    "stop_signal": ("StopSignal", "i"),
    "stop_timeout": ("TimeoutStopUSec", "t"),
    "rm": ("AutoRemove", "b"),
    "tty": ("Terminal", "b"),
    "machine": ("Machine", "b"),
}


def container_options(arguments: Arguments, origin: dict[str, tuple[str, Any]]) -> dict[str, tuple[str, Any]]:
    """The a{sv} of CreateContainer. `origin`: the keys that say what it is made from."""
    found = {bus: (kind, arguments.options[key]) for key, (bus, kind) in DIRECT.items() if key in arguments.options}
    found |= wall_options(arguments) | mount_options(arguments)
    found |= origin
    if arguments.operands[1:]:
        found["Command"] = ("as", arguments.operands[1:])
    environment = environment_of(arguments)
    if environment:
        found["Environment"] = ("as", environment)
    labels = labels_of(arguments)
    if labels:
        found["Labels"] = ("a{ss}", labels)
    found |= devices.device_options(arguments) | secrets.secret_options(arguments)
    found |= supervision.supervision_options(arguments)
    found |= activation.activation_options(arguments)
    return found | limits.limit_options(arguments) | networking.network_options(arguments)


def labels_of(arguments: Arguments) -> dict[str, str]:
    """Files first, then --label; the last word on a key counts."""
    files = [entry for file in arguments.get("label_file", []) for entry in file]
    return dict([*files, *arguments.get("label", [])])


def check_operands(arguments: Arguments, verb: str) -> None:
    if not arguments.operands:
        raise UsageError(f"no image was given: mctl {verb} IMAGE|DIRECTORY [COMMAND [ARG...]]")
    if not is_path(arguments.operands[0]):
        return
    if "entrypoint" in arguments.options:
        raise UsageError("--entrypoint is for images: for a directory name the program as the command")
    if len(arguments.operands) < 2 or not arguments.operands[1]:
        raise UsageError(f"no command was given: name the program, as in `mctl {verb} {arguments.operands[0]} /bin/sh`")
