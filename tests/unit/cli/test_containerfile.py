# SPDX-License-Identifier: GPL-3.0-or-later
"""Containerfiles as text: instructions, words, stages, and what is left out of a context."""

from __future__ import annotations

import pytest

from mctl.building.containerfile import instructions
from mctl.building.ignore import Ignored
from mctl.building.plan import needed, parts
from mctl.building.words import Expansion, pairs, split
from mctl.failures import UsageError

STAGES = """
ARG TAG=1
FROM base:$TAG AS one
RUN a
FROM other AS two
FROM one AS Three
COPY --from=two /x /y
FROM scratch
COPY --from=0 /x /y
"""


def test_lines_comments_flags_and_documents() -> None:
    found, escape = instructions(
        "# syntax=docker/dockerfile:1\n\n  from busybox\nRUN a \\\n  # no part of it\n\n  b\n"
        "copy --chown=1:2 --link <<A <<-'B' /d/\n$x\nA\n\tkept\n\tB\nRUN cat <<E && x\nin\nE\n"
    )
    assert (escape, [str(each) for each in found]) == (
        "\\",
        ["FROM busybox", "RUN a   b", "COPY --chown=1:2 --link=true <<A <<-'B' /d/", "RUN cat <<E && x"],
    )
    assert [each.line for each in found] == [3, 4, 8, 13]
    assert [(d.name, d.text, d.literal) for d in found[2].documents] == [("A", "$x\n", False), ("B", "kept\n", True)]
    assert found[3].documents[0].whole == "in\nE\n"


@pytest.mark.parametrize(("text", "complaint"), [
    ("", "is empty"),
    ("# only this\n", "is empty"),
    ("FROM a\nRUNN x", "line 2: 'RUNN' is not an instruction"),
    ("FROM a\n\nENV", "line 3: ENV has nothing behind it"),
    ("FROM a\nCOPY <<E /x\nnever ends", "line 2: the here-document E has no end"),
    ("# escape=x\nFROM a", "neither"),
])  # fmt: skip
def test_what_is_no_containerfile(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        instructions(text)


def test_a_tab_ends_the_word_and_a_key_and_only_newlines_end_lines() -> None:
    found, _ = instructions("FROM\tbusybox\r\nRUN\techo a b\nRUN echo 'x\u2028y\x0cz'\nCOPY <<E /x\na\x0cb\x85c\nE\n")
    assert [str(each) for each in found] == ["FROM busybox", "RUN echo a b", "RUN echo 'x\u2028y\x0cz'", "COPY <<E /x"]
    assert found[3].documents[0].text == "a\x0cb\x85c\n"
    assert pairs("A\tsome words", Expansion({}, "\\"), "\\") == [("A", "some words")]


def test_another_escape_character() -> None:
    found, escape = instructions("# escape=`\nFROM a\nCOPY a `\n  c:\\dir\n")
    assert (escape, found[1].rest) == ("`", "a   c:\\dir")


@pytest.mark.parametrize(("text", "value"), [
    ("$A-$B.$none", "1-two words."),
    ("${A}x ${none:-else} ${A:+set} ${none:+set} ${E-set} ${E:-empty} ${E+there}", "1x else set   empty there"),
    ("'$A' \"$A '$B'\" \\$A", "$A 1 'two words' $A"),
    ("${none:-${A}${none:-deep}}", "1deep"),
    ("5$ $", "5$ $"),
    ('"a\\"b\\c"', 'a"b\\c'),
])  # fmt: skip
def test_variables(text: str, value: str) -> None:
    assert Expansion({"A": "1", "B": "two words", "E": ""}, "\\")(text) == value


@pytest.mark.parametrize("text", ["${A", "${A:?x}", "${}", "${A#x}"])
def test_variables_that_are_not_understood(text: str) -> None:
    with pytest.raises(UsageError):
        Expansion({"A": "1"}, "\\")(text)


def test_words_and_pairs() -> None:
    assert split("a 'b c'  \"d e\"\\ f", "\\") == ["a", "'b c'", '"d e"\\ f']
    expand = Expansion({"X": "y z"}, "\\")
    assert pairs('A=$X B="q r" C=\'$X\' D=a\\ b', expand, "\\") == [
        ("A", "y z"), ("B", "q r"), ("C", "$X"), ("D", "a b"),
    ]  # fmt: skip
    assert pairs("A some $X", expand, "\\") == [("A", "some y z")]
    for wrong in ("A", "A=1 B"):
        with pytest.raises(UsageError):
            pairs(wrong, expand, "\\")


@pytest.mark.parametrize(("target", "wanted"), [("", [0, 3]), ("three", [0, 1, 2]), ("1", [1]), ("ONE", [0])])
def test_only_stages_that_are_needed(target: str, wanted: list[int]) -> None:
    found, of_all = parts(instructions(STAGES)[0], {"TAG": "2"}, "\\")
    assert (needed(found, target), of_all["TAG"]) == (wanted, "2")
    assert of_all["TARGETPLATFORM"] == f"linux/{of_all['BUILDARCH']}" + of_all["TARGETVARIANT"].replace("v", "/v")
    assert [part.base for part in found] == ["base:2", "other", "one", "scratch"]


@pytest.mark.parametrize(("text", "complaint"), [
    ("RUN x", "line 1: RUN stands before the first FROM"),
    ("ARG A=1", "has no FROM"),
    ("FROM a B c", "is not FROM IMAGE"),
    ("FROM $none", "is not FROM IMAGE"),
    ("FROM --x=1 a", "FROM --x is not offered"),
    ("FROM --platform=linux/vax a", "FROM --platform=linux/vax cannot be built here: this host is linux/"),
])  # fmt: skip
def test_stages_that_make_no_sense(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parts(instructions(text)[0], {}, "\\")


def test_a_stage_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="their names are one, two, three"):
        needed(parts(instructions(STAGES)[0], {}, "\\")[0], "four")


@pytest.mark.parametrize(("path", "left_out"), [
    ("a.log", True), ("keep.log", False), ("sub/a.log", False), ("node_modules", True), ("node_modules/x/y", True),
    ("a.o", True), ("sub/a.o", False), ("b/c/x", True), ("up", False),
    ("deep/er/tmp", True), ("tmp", True), ("x1", True), ("xa", False), ("docs/a.md", True), ("docs/README.md", False),
])  # fmt: skip
def test_what_is_left_out(path: str, left_out: bool) -> None:  # noqa: FBT001
    rules = "# a comment\n*.log\n!keep.log\n/node_modules/\n**/tmp\nx[0-9]\ndocs\n!docs/README.md\n"
    rules += "./*.o\nb//./c/\n../up\n"
    assert Ignored(rules)(path) is left_out
