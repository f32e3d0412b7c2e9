# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be done with a container, in the words of mctl: verbs in place of the service's methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .client import CONTAINER, Call
from .failures import FREEDESKTOP, NEEDS_PASSWORD, Failure, UsageError
from .names import is_name, path_of
from .parser import ALIASES
from .similarity import suggestion

if TYPE_CHECKING:
    from .client import Client

METHODS = {
    "attach": "Attach", "commit": "Commit", "cp": "CopyIn", "diff": "ListChanges", "disable": "Disable",
    "enable": "Enable", "exec": "Exec", "export": "Export", "kill": "Kill", "logs": "OpenLog", "net": "Update",
    "network": "Connect", "pause": "Freeze", "port": "Publish", "rename": "Rename", "restart": "Restart",
    "rm": "Remove", "start": "Start", "stop": "Stop",
    "top": "GetProcesses", "unpause": "Thaw", "update": "Update",
}  # fmt: skip
ANSWERS = ("yes", "na", "challenge", "no")
_HIDDEN = (FREEDESKTOP + "AccessDenied", NEEDS_PASSWORD)


def method_of(verb: str) -> str:
    """Raises UsageError."""
    known = METHODS.get(ALIASES.get(verb, verb))
    if known is None:
        raise UsageError(
            f"{verb[:80]!r} is not done to a container{suggestion(verb, list(METHODS))};"
            f" there are {', '.join(METHODS)}"
        )
    return known


Answer = tuple[str, str, str]  # yes, na, challenge or no; the action of polkit; the reason


def asked(client: Client, text: str, verbs: list[str]) -> dict[str, Answer]:
    """The answer for each verb. Raises Failure where who asks may know that there is no such container."""
    methods = {verb: method_of(verb) for verb in verbs}
    (found,) = client.call(Call(path(client, text), CONTAINER, "Can", "as", sorted(set(methods.values()))))
    answers: dict[str, Answer] = {verb: tuple(found[method]) for verb, method in methods.items()}
    return answers


def path(client: Client, text: str) -> str:
    """Of what a person calls a container; where it is hidden, of the name as it stands. `client` must not prompt."""
    try:
        found: str = client.manager("GetContainer", "s", text if is_name(text) else text.lower())[0]
    except Failure as error:
        if error.name not in _HIDDEN:
            raise
        return path_of(text)
    return found
