# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl why-not: whether a user may do something with a container, what decides it, and what cannot be known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..abilities import method_of, path
from ..failures import UsageError
from ..formats import JSON
from ..output import printable, put, to_json
from ..owners import owner_name
from ..parser import Verb
from ..policy import decided
from ..standin import account, answers, situations

if TYPE_CHECKING:
    from ..abilities import Answer
    from ..client import Client
    from ..parser import Arguments
    from ..standin import Situation

SAID = {
    "yes": "may {verb} {name}",
    "na": "may {verb} {name}, but its state does not allow it now",
    "challenge": "may {verb} {name} only where polkit is given a password",
    "no": "may not {verb} {name}",
}
WORDS = 3

VERB = Verb(
    usage="[OPTION...] USER VERB NAME",
    options=(JSON,),
    notes="For administrators: a process of USER asks, which takes root. The exit status is 0 if USER may.",
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != WORDS:
        raise UsageError(f"why-not takes a user, a verb and a name, but got {len(arguments.operands)} words")
    who, verb, text = arguments.operands
    user, method = account(who), method_of(verb)
    where = path(client, text)
    container = client.properties(where)
    asked = situations(user)
    found = answers(asked, where, method)
    style = arguments.get("json", "off")
    if style != "off":
        put(to_json([s.as_json(answer) for s, answer in zip(asked, found, strict=True)], pretty=style == "pretty"))
    else:
        lines = (*verdicts(verb, container, asked, found), *reasons(client, container, found), *unknown(asked))
        put("".join(f"{line}\n" for line in lines))
    return int(not any(answer in ("yes", "na") for answer, _, _ in found))


def verdicts(verb: str, container: dict[str, Any], asked: list[Situation], found: list[Answer]) -> list[str]:
    lines = []
    for situation, (answer, _, why) in zip(asked, found, strict=True):
        verdict = SAID[answer].format(verb=verb, name=printable(container["Name"]))
        lines += [f"{situation.place}, {situation.user.pw_name} {verdict}", f"  the service says: {printable(why)}"]
    return lines


def reasons(client: Client, container: dict[str, Any], found: list[Answer]) -> list[str]:
    actions = dict.fromkeys(action for _, action, _ in found if action)
    owner = f"{printable(container['Name'])} belongs to {owner_name(container['OwnerUID'])}"
    return [owner, *(line for action in actions for line in decided(client, action))]


def unknown(asked: list[Situation]) -> list[str]:
    """What nobody can know now; of root all is known."""
    user = asked[0].user
    if user.pw_uid == 0:
        return []
    absent = f"at this host, since {user.pw_name} is not in a session there now"
    here = [] if any(s.session for s in asked) else [absent]
    return [f"not known: what rules would say {to}" for to in (*here, "to more than the verb, as the command of exec")]
