# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl who-can: which users of this host may do something with a container."""

from __future__ import annotations

import pwd
from typing import TYPE_CHECKING

from ..abilities import method_of, path
from ..failures import UsageError
from ..formats import JSON
from ..output import put, table, to_json
from ..parser import Option, Verb
from ..policy import decided
from ..standin import account, answers, situations

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

LOGIN_DEFS = "/etc/login.defs"
USERS_MAX = 200
WORDS = 2
UNKNOWN = "not known: what rules would say at this host to those who are in no session there now"

VERB = Verb(
    usage="[OPTION...] VERB NAME",
    options=(
        Option(("-u", "--user"), "ask for this one; root, the owner and all accounts of people otherwise",
               value="USER", convert=lambda _, text: account(text), repeat=True),
        JSON,
    ),
    notes="For administrators: a process of each user asks, so it takes root.",
)  # fmt: skip


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != WORDS:
        raise UsageError(f"who-can takes a verb and a name, but got {len(arguments.operands)} words")
    verb, text = arguments.operands
    method, where = method_of(verb), path(client, text)
    users = arguments.get("user") or people(client.properties(where)["OwnerUID"])
    asked = [situation for user in users for situation in situations(user)]
    found = answers(asked, where, method)
    style = arguments.get("json", "off")
    if style != "off":
        put(to_json([s.as_json(answer) for s, answer in zip(asked, found, strict=True)], pretty=style == "pretty"))
        return 0
    rows = [
        (s.user.pw_name, answer, s.place, action or "-") for s, (answer, action, _) in zip(asked, found, strict=True)
    ]
    put(table(("USER", "ANSWER", "WHERE", "ACTION"), rows))
    actions = sorted({action for _, action, _ in found if action})
    put("".join(f"{line}\n" for line in (*(line for each in actions for line in decided(client, each)), UNKNOWN)))
    return 0


def people(owner: int) -> list[pwd.struct_passwd]:
    """root, the owner, and those whom login.defs(5) takes for people. Raises UsageError where they are too many."""
    least, most = bounds()
    wanted = {0, owner}
    found = {u.pw_uid: u for u in pwd.getpwall() if u.pw_uid in wanted or least <= u.pw_uid <= most}
    if len(found) > USERS_MAX:
        raise UsageError(f"{len(found)} users are more than {USERS_MAX}, the most to ask for: name some with --user")
    return [found[uid] for uid in sorted(found)]


def bounds() -> tuple[int, int]:
    """UID_MIN and UID_MAX."""
    values = {"UID_MIN": 1000, "UID_MAX": 60000}
    try:
        with open(LOGIN_DEFS, encoding="utf-8", errors="replace") as file:
            for words in map(str.split, file):
                if len(words) > 1 and words[0] in values and words[1].isdigit():
                    values[words[0]] = int(words[1])
    except OSError:
        return values["UID_MIN"], values["UID_MAX"]
    return values["UID_MIN"], values["UID_MAX"]
