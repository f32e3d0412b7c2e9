# SPDX-License-Identifier: GPL-3.0-or-later
"""fish and zsh offer exactly the verbs, options and names that there are, asked of the shells themselves.

bash is asked in tests/unit/cli/test_documents.py, without a machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mctl.parser import ALIASES, COMMON, GLOBAL, GROUPS, VERBS, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .conftest import Mctl

FISH = 'for line in $argv; echo "LINE $line"; complete -C "$line"; end'
# zsh completes only in its line editor, which needs a terminal: another zsh behind zpty, zshmodules(1). What it would
# list is caught where it is added, zshcompwid(1).
ZSH = r"""
zmodload zsh/zpty
zpty it zsh -f -i
zpty -w it 'source /tmp/completing/inner'
zpty -r it seen '*READY*' && zpty -w -n it $'\C-x' && zpty -r it seen '*DONE*' && cat /tmp/completing/offered
"""
INNER = r"""
PROMPT= RPROMPT= LISTMAX=1000000
autoload -Uz compinit; compinit -D -u
compadd() {
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        local -a offered
        builtin compadd -A offered "$@"
        (( $#offered )) && print -rl -- $offered >> /tmp/completing/offered
    fi
    builtin compadd "$@"
}
ask() {
    local line
    for line in ${(f)"$(< /tmp/completing/lines)"}; do
        BUFFER=$line CURSOR=$#line
        print -r -- "LINE $line" >> /tmp/completing/offered
        zle list-choices
    done
    BUFFER=
    print DONE
}
zle -N ask; bindkey '^X' ask
print READY
"""
Offers = dict[str, set[str]]


def fish(mctl: Mctl, lines: Iterable[str]) -> Offers:
    return told(mctl.machine.run(["fish", "-c", FISH, *lines]).text)


def zsh(mctl: Mctl, lines: Iterable[str]) -> Offers:
    mctl.machine.write("/tmp/completing/lines", "".join(f"{line}\n" for line in lines))
    mctl.machine.write("/tmp/completing/inner", INNER)
    found = mctl.machine.run(["timeout", "50", "zsh", "-f"], input=ZSH.encode()).text
    mctl.shell("rm -r /tmp/completing")
    return told(found)


def told(text: str) -> Offers:
    """By the line that was completed."""
    found: Offers = {}
    for line in text.splitlines():
        if line.startswith("LINE "):
            offers = found[line.removeprefix("LINE ")] = set()
        elif line:
            offers.add(line.partition("\t")[0].rstrip("="))
    return found


def options(verb: str) -> set[str]:
    return {name for option in (*load(verb).VERB.options, *COMMON) for name in option.names}


def words(group: str) -> set[str]:
    return {name.split()[1] for name in (*VERBS, *ALIASES) if name.startswith(f"{group} ")}


def expected() -> Offers:
    called = {verb: verb for verb in VERBS} | {"container rm": "rm", "system info": "info"}
    called |= {alias: verb for alias, verb in ALIASES.items() if alias.startswith("image ")}
    wanted = {f"mctl {words} -": options(verb) for words, verb in called.items()}
    first = {verb.split()[0] for verb in (*VERBS, *GROUPS)} | {"help"}
    wanted |= {"mctl ": first, "mctl -": {name for option in GLOBAL for name in option.names}}
    return wanted | {f"mctl {group} ": words(group) for group in GROUPS}


@pytest.mark.parametrize("shell", [fish, zsh])
def test_exactly_what_there_is(mctl: Mctl, shell: Callable[[Mctl, Iterable[str]], Offers]) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "up", "--network", "none"])
    mctl("create", "--name", "down", "--network", "none", mctl.rootfs, "true")
    wanted = expected()
    names: Offers = {"mctl stop ": {"up"}, "mctl container start ": {"down"}, "mctl rm ": {"up", "down"}}
    found = shell(mctl, [*wanted, *names])
    assert found == wanted | names
