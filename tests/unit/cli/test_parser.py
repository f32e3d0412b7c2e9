# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, parsed from tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctl.client import Client
from mctl.failures import UsageError
from mctl.manual import overview, verb_help
from mctl.parser import ALIASES, GROUPS, VERBS, Arguments, Option, find_verb, load, parse, scan

OPTIONS = (
    Option(("-a", "--all"), "a switch"),
    Option(("-b",), "another"),
    Option(("-n", "--number"), "with value", value="N"),
    Option(("--list",), "repeated", value="X", repeat=True),
    Option(("--json",), "optional value", value="STYLE", implied="pretty"),
)


def scanned(*words: str, stop: bool = False) -> Arguments:
    return scan(OPTIONS, list(words), stop_at_operand=stop, where="mctl attach")


@pytest.mark.parametrize(
    ("words", "options", "operands"),
    [
        ([], {}, []),
        (["x", "-a", "y"], {"all": True}, ["x", "y"]),
        (["-ab"], {"all": True, "b": True}, []),
        (["-abn5", "x"], {"all": True, "b": True, "number": "5"}, ["x"]),
        (["-n", "-5"], {"number": "-5"}, []),
        (["-n=5"], {"number": "5"}, []),
        (["--number=a=b"], {"number": "a=b"}, []),
        (["--number="], {"number": ""}, []),
        (["--number", "5"], {"number": "5"}, []),
        (["--all=false"], {"all": False}, []),
        (["--list", "1", "--list=2"], {"list": ["1", "2"]}, []),
        (["--json", "x"], {"json": "pretty"}, ["x"]),
        (["--json=short"], {"json": "short"}, []),
        (["-", "--", "-a", "--"], {}, ["-", "-a", "--"]),
    ],
)
def test_scan(words: list[str], options: dict[str, object], operands: list[str]) -> None:
    found = scanned(*words)
    assert (found.options, found.operands) == (options, operands)


def test_scan_stops_at_the_first_operand() -> None:
    found = scanned("-a", "x", "-b", "--", "--nonsense", stop=True)
    assert (found.options, found.operands) == ({"all": True}, ["x", "-b", "--", "--nonsense"])


def test_the_version_has_a_letter() -> None:
    assert find_verb(["-v"]).before.options == find_verb(["--version"]).before.options == {"version": True}


def test_verbs_are_listed_in_order() -> None:
    assert list(VERBS) == sorted(VERBS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--al"], r"unknown option --al \(did you mean --all\?\); `mctl attach --help`"),
        (["-z"], "unknown option -z"),
        (["-az"], "unknown option -z"),
        (["--number"], "--number needs a value: --number N"),
        (["-n"], "-n needs a value"),
        (["--all=x"], "--all takes no value, but got 'x'"),
        (["-al"], "-l is not offered: name the container"),
        (["--sig-proxy"], "--sig-proxy is not offered: what is typed goes in"),
    ],
)
def test_scan_refuses(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        scanned(*words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no verb"),
        (["--no-pager"], "no verb"),
        (["pss"], "unknown verb 'pss' \\(did you mean ps\\?\\)"),
        (["stat"], "did you mean stats"),
        (["strt"], "did you mean start"),
        (["strat"], "did you mean start"),
        (["insepct"], "did you mean inspect"),
        (["remove"], "'remove'; `mctl rm` removes"),
        (["--bogus", "ps"], "unknown option --bogus"),
        (["image"], "image needs a verb of its own: build, check, history,"),
        (["system", "dff"], "unknown verb 'system dff'"),
        (["login", "docker.io"], "unknown verb 'login'; `skopeo login REGISTRY` writes the file"),
        (["help", "xyzzy"], "unknown verb 'xyzzy'; `mctl help`"),
    ],
)
def test_verbs_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_verb(words)


def test_common_options_before_and_after_the_verb() -> None:
    for words in (["--no-ask-password", "ps", "-a"], ["ps", "-a", "--no-ask-password", "--no-pager"]):
        assert parse(find_verb(words)).get("no_ask_password") is True


def test_aliases() -> None:
    for alias, name in ALIASES.items():
        assert find_verb(alias.split()).name == name


@pytest.mark.parametrize("noun", ["volume", "network"])
@pytest.mark.parametrize(("words", "action"), [(["list"], "ls"), (["remove", "x"], "rm")])
def test_dockers_words_for_actions(
    monkeypatch: pytest.MonkeyPatch, noun: str, words: list[str], action: str
) -> None:
    request = find_verb([noun, *words])
    actions = getattr(request.module, "ACTIONS")  # noqa: B009 (each has its own)
    monkeypatch.setitem(actions, action, (lambda _, names, __: len(names) + 7, *actions[action][1:]))
    assert request.run(parse(request), Client.__new__(Client)) == len(words) + 6


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_help_of_a_group(group: str) -> None:
    """Its verbs, each with what it does; the group's own name is no verb, so it is not told to be an unknown one."""
    own = [name for name in (*VERBS, *ALIASES) if name.startswith(f"{group} ")]
    for words in ([group, "--help"], [group, "-h"], ["help", group], ["--help", group]):
        request = find_verb(words)
        text = overview(request)
        assert request.verb is None
        assert text.startswith(f"Usage: mctl {group} VERB")
        assert max(map(len, text.splitlines())) <= 80
        assert all(f"\n  {name} " in text for name in own)
        assert "\n  run " not in text
    with pytest.raises(UsageError, match=f"{group} needs a verb of its own"):
        find_verb([group])


@pytest.mark.parametrize("words", [["help"], ["--help"], ["-h"], ["--version"], ["version"]])
def test_overview(words: list[str]) -> None:
    request = find_verb(words)
    assert request.verb is None
    text = overview(request)
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("mctl 0.") if "version" in words[0] else all(verb in text for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    for words in ([verb, "--help"], ["help", verb], ["--help", verb], [verb, "-h"]):
        request = find_verb(words)
        assert parse(request).get("help") is True
        text = verb_help(request)
        assert text.startswith(f"Usage: mctl {verb} ")
        names = [name for option in load(verb).VERB.options for name in option.names]
        assert [name for name in names if name not in text] == []
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("verb", VERBS)
def test_no_option_twice(verb: str) -> None:
    options = load(verb).VERB.options
    names = [name for option in options for name in option.names]
    keys = [option.key for option in options]
    assert len(set(names)) == len(names)
    assert len(set(keys)) == len(keys)


@given(
    st.sampled_from(list(VERBS)), st.lists(st.text() | st.sampled_from(["-", "--", "-m", "--name=x", "--json", "/"]))
)
def test_any_words_are_parsed_or_refused(verb: str, words: list[str]) -> None:
    try:
        found = parse(find_verb([verb, *words]))
    except UsageError:
        return
    assert len(found.operands) <= len(words)
