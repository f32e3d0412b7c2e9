# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents name is there: files, manual pages, units, verbs with their options, names on the bus."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.program import MEASURES
from mctl.parser import ALIASES, COMMON, GLOBAL, GROUPS, VERBS, load

ROOT = Path(__file__).parents[2]
PROSE = [ROOT / name for name in ("README.md", "HACKING.md", "SECURITY.md", "NEWS.md")]
PAGES = sorted((ROOT / "packaging" / "man").iterdir())
CATALOG = ROOT / "packaging" / "mctl.catalog"
RULES = sorted((ROOT / "polkit" / "examples").iterdir())
ALL = [*PROSE, *PAGES, CATALOG, *RULES]
PLACES = (ROOT, ROOT / "service" / "mctld", ROOT / "cli" / "mctl")  # what a path in prose may begin at
FOLDERS = "tests|service|cli|packaging|units|dbus|polkit|bus|lifecycle|runtime|network|names|images|oci|kernel|copying"
PATH = re.compile(rf"(?<![\w/.@-])(?:(?:{FOLDERS})/[\w./@-]++|\w+\.(?:py|md))(?!\*)")
OURS = re.compile(r"\b(mctl(?:d|-oci|@\.service|d\.conf)?|org\.mctl1)\((\d)\)")
UNIT = re.compile(r"(?<![\w@.-])mctl[\w-]*@?\.(?:service|socket|slice)\b")
MADE = {"mctl-uUID.slice", "mctl-transfer-ID.service"}  # by mctld, with a number or an id for the capitals
BUS_NAME = re.compile(r"\borg\.mctl1(?:\.[A-Za-z][\w-]*)+")
TYPED = re.compile(r"`((?:mctl|tests/\w+|packaging/\w+)(?: [^`]*)?)`")  # in prose
BLOCK = re.compile(r"^ {4}((?:mctl|tests/|packaging/).*?)(?: {2,}.*)?$", re.MULTILINE)
BOLD = re.compile(r"^\.B (mctl [^\n]*)|\\fB(mctl [^\\\n]*)\\fP", re.MULTILINE)  # in manual pages
GENERATED = {"org.mctl1.5"}  # of the XML, at build time


def plain(path: Path) -> str:
    """Of a manual page without its markup, so that a word is one word."""
    text = path.read_text()
    if path.parent.name != "man":
        return text
    text = re.sub(r'^\.\\".*\n', "", text, flags=re.MULTILINE)
    text = re.sub(r"^\.(?:BR|RB|IR|RI|BI|IB) (.*)$", lambda line: line[1].replace(" ", ""), text, flags=re.MULTILINE)
    text = re.sub(r"^\.(?:B|I|SS|SH|TP) ?", "", text, flags=re.MULTILINE)
    return re.sub(r"\\f.|\\&|\\c", "", text.replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\~", " "))


def is_there(name: str) -> bool:
    name = name.rstrip("./,")
    return any((place / name).exists() for place in PLACES) or ("/" not in name and any(ROOT.glob(f"*/**/{name}")))


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_files_are_there(path: Path) -> None:
    assert {found for found in PATH.findall(path.read_text()) if not is_there(found)} == set()


def test_files_are_found() -> None:
    assert len(PATH.findall((ROOT / "HACKING.md").read_text())) > 50
    assert not is_there("lifecycle/nowhere.py")
    assert not is_there("nowhere.py")


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_manual_pages_are_there(path: Path) -> None:
    named = {f"{name}.{section}" for name, section in OURS.findall(plain(path))}
    assert named - {page.name for page in PAGES} - GENERATED == set()


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_units_are_there(path: Path) -> None:
    assert {unit for unit in UNIT.findall(plain(path)) if not (ROOT / "units" / unit).exists()} - MADE == set()


def on_the_bus() -> set[str]:
    """Interfaces with their members, and polkit's actions."""
    names = {action.attrib["id"] for action in ElementTree.parse(ROOT / "polkit" / "org.mctl1.policy").iter("action")}
    for file in (ROOT / "dbus").glob("*.xml"):
        for interface in ElementTree.parse(file).iter("interface"):
            name = interface.attrib["name"]
            names |= {name} | {f"{name}.{member.attrib['name']}" for member in interface if "name" in member.attrib}
    errors = (ROOT / "service" / "mctld" / "errors.py").read_text()
    return names | {f"org.mctl1.Error.{name}" for name in re.findall(r'"(?:org\.mctl1\.Error\.)?([A-Z]\w+)"', errors)}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_names_on_the_bus_are_there(path: Path) -> None:
    files = {"org.mctl1.policy", "org.mctl1.conf", "org.mctl1.service"}
    assert set(BUS_NAME.findall(plain(path))) - on_the_bus() - files == set()


def typed(path: Path) -> list[str]:
    text = path.read_text()
    if path.parent.name == "man":
        return ["".join(found).strip('"') for found in BOLD.findall(text.replace(r"\-", "-"))]
    return [*TYPED.findall(text.replace("\n", " ")), *BLOCK.findall(text)]


def typed_wrongly(command: str) -> str:
    """What of `mctl VERB --option` is not there."""
    words = command.split()[1:]
    while words and words[0].startswith("-"):
        words = words[1:]
    if not words or not words[0].islower():
        return ""
    known = {**{verb: verb for verb in VERBS}, **ALIASES, **{group: group for group in GROUPS}, "help": "help"}
    verb = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
    if verb is None:
        return words[0]
    if known[verb] not in VERBS:
        return ""
    options = {name for option in (*load(known[verb]).VERB.options, *COMMON, *GLOBAL) for name in option.names}
    return next((word for word in words if re.match(r"--[a-z]", word) and word.partition("=")[0] not in options), "")


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_commands_are_there(path: Path) -> None:
    wrong = set()
    for command in typed(path):
        if command.startswith("mctl "):
            wrong.add(typed_wrongly(command))
        elif "/" in command and not (ROOT / command.split()[0]).exists():
            wrong.add(command)
    assert wrong - {""} == set()


def test_commands_are_found() -> None:
    assert len(typed(ROOT / "README.md")) > 10
    assert len(typed(ROOT / "packaging" / "man" / "mctl.1")) > 40


def test_commands_are_judged() -> None:
    assert typed_wrongly("mctl run --rm IMAGE") == typed_wrongly("mctl system df") == ""
    assert (typed_wrongly("mctl walk"), typed_wrongly("mctl ps --nowhere")) == ("walk", "--nowhere")


def test_each_row_of_figures_names_its_measure() -> None:
    table = re.findall(r"^\| .* \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    measures = [row.split("|")[-2].strip() for row in table[1:]]  # below the heads
    assert len(measures) > 8
    assert set(measures) - set(MEASURES) == set()
