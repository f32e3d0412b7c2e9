# SPDX-License-Identifier: GPL-3.0-or-later
"""The man page and the completions know every verb and option, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mctl import VERSION
from mctl.abilities import METHODS
from mctl.parser import ALIASES, COMMON, GLOBAL, GROUPS, VERBS, load

if TYPE_CHECKING:
    from unit.cli.fake_service import FakeService

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = REPOSITORY / "packaging" / "man" / "mctl.1"
COMPLETIONS = REPOSITORY / "packaging" / "completions"
BASH = COMPLETIONS / "mctl.bash"


def names(verb: str) -> set[str]:
    return {name for option in (*load(verb).VERB.options, *COMMON) for name in option.names}


def everything() -> set[str]:
    return {name for option in GLOBAL for name in option.names}.union(*(names(verb) for verb in VERBS))


def test_version_is_that_of_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
    assert f'"mctl {VERSION}"' in PAGE.read_text()


def section(verb: str) -> str:
    """The man page's part on a verb, as plain text."""
    text = re.sub(r"\\f.|\\~", " ", PAGE.read_text().replace(r"\-", "-"))
    found = re.findall(r"^\.SS mctl ([^\n]*)\n(.*?)(?=^\.S[SH])", text, re.MULTILINE | re.DOTALL)
    parts = {max((v for v in VERBS if heading.startswith(f"{v} ")), key=len): body for heading, body in found}
    body: str = parts[verb]
    return body + (parts["run"] if verb in ("build", "create", "update") else "")


@pytest.mark.parametrize("verb", VERBS)
def test_man_page_has_every_option_of_a_verb(verb: str) -> None:
    words = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", section(verb)))
    shared = {name for option in COMMON for name in option.names}
    assert names(verb) - shared - words == set()


def test_man_page_has_no_option_too_many() -> None:
    text = PAGE.read_text().replace(r"\-", "-")
    headings = re.findall(r"^\.TP\n(.*(?:\n\.I.*)?)", text, re.MULTILINE)
    words = {word for heading in headings for word in re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", heading)}
    assert len(words) > 30
    assert words - everything() == set()


@pytest.mark.skipif(shutil.which("man") is None, reason="man-db is not installed")
def test_man_page_is_sound() -> None:
    done = subprocess.run(["man", "--warnings", "-l", PAGE], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "EXIT STATUS" in done.stdout


@pytest.mark.parametrize("file", ["mctl.bash", "_mctl", "mctl.fish"])
def test_completions_know_every_verb_and_option(file: str) -> None:
    text = (COMPLETIONS / file).read_text()
    if file == "mctl.fish":
        text = re.sub(r" -s (\w)\b", r" -\1", re.sub(r" -l ([\w-]+)", r" --\1", text))
    words = set(re.findall(r"(?<![\w-])-?-?[a-zA-Z][\w-]*", text))
    assert everything() - words == set()
    assert {word for verb in VERBS for word in verb.split()} - words == set()


def complete(environment: dict[str, str], *words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    launchers = REPOSITORY / "cli" / "bin"
    script = f'source {BASH}; COMP_WORDS=(mctl "$@"); COMP_CWORD=$#; _mctl; printf \'%s\\n\' "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        capture_output=True,
        text=True,
        env=environment | {"PATH": f"{launchers}:{environment['PATH']}"},
        timeout=20,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("verb", VERBS)
def test_bash_offers_exactly_the_options(environment: dict[str, str], verb: str) -> None:
    offered = {word.partition("=")[0] for word in complete(environment, verb, "-")}
    assert offered == names(verb)


def test_bash_offers_verbs_and_values(environment: dict[str, str]) -> None:
    assert complete(environment, "st") == ["start", "stats", "stop"]
    assert complete(environment, "--no-pager", "st") == ["start", "stats", "stop"]
    assert complete(environment, "ps", "--format", "j") == ["json"]
    assert complete(environment, "kill", "-s", "TER") == ["TERM"]
    assert complete(environment, "run", "--rm", "--name", "x", "/us") == ["/usr"]
    assert complete(environment, "run", "/", "/bin/s") == []
    assert complete(environment, "image", "i") == ["import", "inspect"]
    assert complete(environment, "system", "p") == ["prune"]
    assert complete(environment, "container", "st") == ["start", "stats", "stop"]
    assert "--volumes" in complete(environment, "container", "rm", "--v")


def words_of(text: str, begin: str, end: str) -> set[str]:
    found = text.partition(begin)[2].partition(end)[0].split()
    assert found, begin
    return set(found)


def verbs_at_first() -> set[str]:
    return {verb.split()[0] for verb in (*VERBS, *GROUPS)} | {"help"}


def test_bash_has_every_verb(environment: dict[str, str]) -> None:
    assert set(complete(environment, "")) == verbs_at_first()
    assert set(complete(environment, "help", "")) == verbs_at_first() - {"help"}


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_every_completion_has_every_verb_of_a_group(environment: dict[str, str], group: str) -> None:
    known = {words.split()[1] for words in (*VERBS, *ALIASES) if words.startswith(f"{group} ")}
    assert set(complete(environment, group, "")) == known
    fish, zsh = ((COMPLETIONS / file).read_text() for file in ("mctl.fish", "_mctl"))
    assert words_of(fish, f"-n '__mctl_is {group}' -a '", "'") == known
    assert words_of(zsh.replace("\\\n", ""), f"{group}) _values verb ", ";;") == known


def test_every_completion_has_what_can_knows() -> None:
    bash, fish, zsh = ((COMPLETIONS / file).read_text() for file in ("mctl.bash", "mctl.fish", "_mctl"))
    assert words_of(bash, "__mctl_verbs() { # that are done to a container\n    echo '", "'") == set(METHODS)
    assert words_of(fish, "'__mctl_is can who-can why-not' -a '", "'") == set(METHODS)
    assert words_of(zsh, "local done='", "'") == set(METHODS)


def test_fish_and_zsh_have_every_verb() -> None:
    fish, zsh = ((COMPLETIONS / file).read_text() for file in ("mctl.fish", "_mctl"))
    assert set(re.findall(r"-n __mctl_no_verb -a ([\w-]+)", fish)) == verbs_at_first()
    listed = zsh.partition("verbs=(\n")[2].partition("\n    )")[0]
    assert set(re.findall(r"^ *'([\w-]+):", listed, re.MULTILINE)) == verbs_at_first()
    assert words_of(fish, "-n '__mctl_is help' -a '", "'") == verbs_at_first() - {"help"}


def test_bash_offers_live_names(environment: dict[str, str], service: FakeService) -> None:
    service.add("up", State=("s", "running"))
    service.add("down", State=("s", "exited"))
    assert complete(environment, "stop", "") == ["up"]
    assert complete(environment, "start", "") == ["down"]
    assert sorted(complete(environment, "logs", "-n", "5", "")) == ["down", "up"]
    assert complete(environment, "logs", "up", "") == []
