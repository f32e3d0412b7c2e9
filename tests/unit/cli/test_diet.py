# SPDX-License-Identifier: GPL-3.0-or-later
"""`mctl ps` is quick because of what it does not import."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from unit.cli.conftest import LAUNCHER

if TYPE_CHECKING:
    from unit.cli.fake_service import FakeService

FORBIDDEN = {
    "argparse",
    "asyncio",
    "collections",
    "contextlib",
    "ctypes",
    "dataclasses",
    "datetime",
    "difflib",
    "enum",
    "gettext",
    "importlib",
    "inspect",
    "json",
    "locale",
    "logging",
    "pathlib",
    "shutil",
    "signal",
    "site",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "typing",
    "mctld",
    "jeepney",
    "mctl.relay",
    "mctl.creation",
    "mctl.manual",
    "mctl.terminal",
    "mctl.moments",
}
MOST_MODULES = 50


def imported(environment: dict[str, str], *words: str) -> set[str]:
    done = subprocess.run(
        ["/usr/bin/python3", "-IS", "-X", "importtime", LAUNCHER, *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=30,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.split("|")[2].strip() for line in lines[1:]}


def test_ps_imports_little(environment: dict[str, str], service: FakeService) -> None:
    service.add("web", State=("s", "running"))
    modules = imported(environment, "ps")
    assert "mctl.sdbus" in modules  # or this test looks at nothing
    assert modules & FORBIDDEN == set()
    assert len(modules) <= MOST_MODULES
    verbs = {name for name in modules if name.startswith("mctl.commands.")}
    assert verbs == {"mctl.commands.ps"}


@pytest.mark.parametrize("words", [("run", "/", "true"), ("exec", "web", "true"), ("start", "web"), ("rm", "web")])
def test_others_import_little(environment: dict[str, str], service: FakeService, words: tuple[str, ...]) -> None:
    service.add("web")
    modules = imported(environment, *words)
    assert modules & (FORBIDDEN - {"mctl.relay", "mctl.creation"}) == set()
    assert "mctl.creation" not in modules or words[0] == "run"


def test_stand_in_gives_way_to_the_real_typing() -> None:
    script = (
        "import sys; sys.path.append(sys.argv[1]); import mctl.lazy_typing as l; l.install(); import typing\n"
        "typing.Any; assert 'NamedTuple' not in vars(typing)\n"
        "from typing import NamedTuple; assert NamedTuple.__module__ == 'typing'\n"
        "assert sys.modules['typing'] is not typing"
    )
    done = subprocess.run(["/usr/bin/python3", "-IS", "-c", script, LAUNCHER.parents[1]], check=False, timeout=20)
    assert done.returncode == 0


def test_nothing_of_the_service_is_imported() -> None:
    for source in (LAUNCHER.parents[1] / "mctl").rglob("*.py"):
        text = source.read_text()
        assert "import mctld" not in text
        assert "from mctld" not in text
