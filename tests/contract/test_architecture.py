# SPDX-License-Identifier: GPL-3.0-or-later
"""The house has floors: an import goes only down. Files and functions stay short, and say their licence."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "service" / "mctld"
MAX_LINES, MAX_FUNCTION = 400, 40
SPDX = "# SPDX-License-Identifier: GPL-3.0-or-later"

SPECIFICATION = {
    "activation", "bounds", "capability", "change", "conf", "configuration", "cpuset", "credential", "dangers",
    "device", "disk", "draft", "encoding", "errors", "execution", "health", "hidden", "image", "journal_settings",
    "limits", "machine", "macvlan", "mounts",
    "network_settings", "networking", "platform", "ports", "process", "quotas", "reach", "reference", "restart",
    "security", "spec", "state", "unreadable", "usage", "volume",
}  # fmt: skip
PARTS = {"runtime", "network", "names", "images", "systemd", "store", "settings"}  # they do not know each other
FLOORS: dict[str, set[str]] = {  # what a floor may import besides itself
    "__init__": set(),
    "errors": set(),
    "disk": set(),
    "capability": set(),
    "state": {"errors"},
    "bounds": {"errors"},
    "cpuset": {"errors", "bounds"},
    "conf": {"bounds"},
    "journal_settings": {"conf"},
    "quotas": {"errors", "bounds", "conf", "journal_settings"},
    "reach": {"errors", "bounds"},
    "limits": {"errors", "bounds", "cpuset", "reach"},
    "ports": {"errors", "bounds"},
    "macvlan": {"errors", "bounds"},
    "networking": {"errors", "bounds", "macvlan", "ports"},
    "draft": {"errors", "bounds", "macvlan", "networking"},
    "network_settings": {"conf", "errors", "networking"},
    "activation": {"errors", "bounds", "ports"},
    "mounts": {"errors", "bounds"},
    "device": {"errors", "bounds"},
    "machine": {"mounts"},
    "restart": {"errors", "bounds"},
    "health": {"errors", "bounds"},
    "hidden": set(),
    "process": set(),
    "usage": set(),
    "security": {"capability", "errors", "bounds", "hidden"},
    "credential": {"errors", "bounds"},
    "reference": {"errors", "bounds"},
    "platform": {"errors", "bounds"},
    "volume": {"errors", "bounds", "mounts"},
    "configuration": {"errors", "bounds", "health"},
    "image": {"errors", "bounds", "configuration", "reference"},
    "spec": {
        "activation", "errors", "bounds", "credential", "image", "device", "health", "limits", "mounts", "networking",
        "ports", "restart", "security", "volume",
    },
    "execution": {"errors", "spec"},
    "dangers": {"capability", "device", "image", "mounts", "networking", "security", "spec"},
    "change": {"bounds", "dangers", "device", "errors", "restart", "security", "spec"},
    "encoding": {
        "activation", "device", "health", "image", "limits", "mounts", "networking", "restart", "security", "spec",
        "volume",
    },
    "unreadable": {"errors", "networking", "spec"},
    "kernel": set(),
    "settings": SPECIFICATION,
    "chronicle": set(),
    "reporting": {"chronicle"},
    "leases": SPECIFICATION,
    "catalog": SPECIFICATION,
    "ids": {"errors"},
    "durable": set(),
    "settlement": {"durable"},
    "database": {"disk", "durable", "errors"},
    "copies": set(),
    "reserve": set(),
    "rebuilding": {"copies", "encoding", "ids", "unreadable"},
    "store": {"catalog", "copies", "database", "ids", "leases", "rebuilding", "reserve", "settlement", *SPECIFICATION},
    "systemd": SPECIFICATION,
    "network": {"kernel", *SPECIFICATION},
    "names": set(),  # a program of its own
    "relaying": set(),  # as well
    "images": {"durable", "kernel", *SPECIFICATION},
    "runtime": {"kernel", *SPECIFICATION, "VERSION"},
    "copying": {"images", "kernel", "runtime", *SPECIFICATION},
    "oci": {"runtime", "kernel", *SPECIFICATION, "VERSION"},
    "lifecycle": {"chronicle", "copying", "durable", *PARTS, *SPECIFICATION, "VERSION"},
    "bus": {"kernel", "chronicle", "lifecycle", "reporting", *SPECIFICATION, "VERSION"},
    "daemon": {"bus", "chronicle", "lifecycle", "ids", "reporting", *PARTS, *SPECIFICATION, "VERSION"},
    "__main__": {
        "daemon", "journal_settings", "network_settings", "quotas", "reporting", "settings", "errors", "VERSION",
    },
}
DBUS_NEXT_INSIDE = {"bus/codec.py"}  # the only files that may touch the inner names of dbus-next

# What the spawner may have loaded when it is ready to fork: its start and every container's start pay for it.
# Never asyncio, dbus_next, pyroute2, logging, typing, argparse or subprocess.
SPAWNER_LOADS = {
    "array", "collections", "copyreg", "ctypes", "enum", "errno", "fcntl", "functools", "gc", "genericpath",
    "itertools", "json", "keyword", "math", "mctld", "operator", "os", "posixpath", "re", "reprlib",
    "resource", "select", "selectors", "signal", "socket", "stat", "struct", "types",
}  # fmt: skip
SPAWNER_LOADS_OF_OURS = {"runtime", "kernel", "capability"}


def files() -> list[Path]:
    found = [p for folder in ("service", "cli", "tests") for p in sorted((ROOT / folder).rglob("*.py"))]
    return [p for p in found if "_vendor" not in p.parts]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path, tree: ast.AST) -> set[str]:
    """Names directly below mctld that the module imports, TYPE_CHECKING included."""
    package = list(path.relative_to(ROOT).parts[1:-1])
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {tuple(a.name.split(".")) for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = [*base, *(node.module.split(".") if node.module else [])]
            found |= {(*source, a.name) for a in node.names}
    return {parts[1] for parts in found if parts[0] == "mctld" and len(parts) > 1}


@pytest.mark.parametrize("path", [p for p in files() if SERVICE in p.parents], ids=name)
def test_an_import_goes_only_down(path: Path) -> None:
    floor = path.relative_to(SERVICE).parts[0].removesuffix(".py")
    assert floor in FLOORS, f"{floor} is on no floor: give it one here"
    too_high = imported(path, ast.parse(path.read_text())) - {floor} - FLOORS[floor]
    assert not too_high


def test_the_floor_test_sees_imports() -> None:
    tree = ast.parse(
        "from ..bus.door import x\nfrom .. import store\nfrom . import y\nimport mctld.kernel.libc\nimport os"
    )
    assert imported(SERVICE / "lifecycle" / "start.py", tree) == {"bus", "store", "lifecycle", "kernel"}
    assert imported(SERVICE / "daemon.py", ast.parse("from .bus import x\nfrom mctld import spec")) == {"bus", "spec"}


@pytest.mark.parametrize("path", [p for p in files() if ROOT / "cli" in p.parents], ids=name)
def test_clients_do_not_know_the_service(path: Path) -> None:
    tree = ast.parse(path.read_text())
    plain = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert not imported(path, tree)
    assert "mctld" not in plain


@pytest.mark.parametrize("path", files(), ids=name)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    lines = text.splitlines()
    assert len(lines) <= MAX_LINES
    code = lines[1:] if lines and lines[0].startswith("#!") else lines
    assert not code or code[0] == SPDX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < MAX_FUNCTION, f"{node.name} is too long"


@pytest.mark.parametrize("path", files(), ids=name)
def test_no_file_is_a_drawer(path: Path) -> None:
    assert path.stem not in ("utils", "util", "common", "helpers", "misc")


@pytest.mark.parametrize("path", [p for p in files() if SERVICE in p.parents], ids=name)
def test_modules_say_what_they_are(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text()))
    assert doc, "one line that says what this module is for"


@pytest.mark.parametrize("path", [p for p in files() if SERVICE in p.parents], ids=name)
def test_one_file_touches_the_inside_of_dbus_next(path: Path) -> None:
    text = path.read_text()
    inside = "dbus_next._private" in text or "SignatureTree" in text
    assert inside == (str(path.relative_to(SERVICE)) in DBUS_NEXT_INSIDE)


def extensions() -> str:
    """Where python-prctl is: -S leaves out site-packages."""
    found = importlib.util.find_spec("_prctl")
    assert found is not None
    assert found.origin is not None
    return str(Path(found.origin).parent)


# What mctl-oci may have loaded when it makes a container, or tells of one: each command pays for it.
OCI_SPARES = {
    "collections", "copyreg", "enum", "functools", "json", "keyword", "re", "reprlib", "selectors", "types",
}  # fmt: skip
OCI_LOADS = SPAWNER_LOADS - OCI_SPARES | {"time"}


def test_the_oci_command_is_light() -> None:
    code = (
        "import sys; before = {*sys.modules}; sys.path += sys.argv[1:]\n"
        "import mctld.oci.lean; mctld.oci.lean.load()\n"
        "import mctld.oci.__main__, mctld.oci.cgroup.bus\n"
        "for name in 'run exec state kill delete list ps events'.split(): __import__(f'mctld.oci.commands.{name}')\n"
        "print(*{*sys.modules} - before)"
    )
    command = [sys.executable, "-IS", "-c", code, str(SERVICE.parent), extensions()]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    loaded = result.stdout.split()
    assert "mctld.oci.creation" in loaded
    assert {m.split(".")[0] for m in loaded if not m.startswith("_")} <= OCI_LOADS


def test_what_engines_call_besides_is_lighter() -> None:
    code = (
        "import sys; sys.path += sys.argv[1:]\n"
        "import mctld.oci.lean; mctld.oci.lean.load(calls=False)\n"
        "import mctld.oci.__main__\n"
        "for name in 'start state kill delete'.split(): __import__(f'mctld.oci.commands.{name}')\n"
        "print(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-IS", "-c", code, str(SERVICE.parent)], capture_output=True, text=True, check=True
    )
    loaded = result.stdout.split()
    assert "mctld.oci.removal" in loaded
    ours = ("kernel.libc", "oci.configuration", "oci.creation", "oci.birth")
    heavy = ("ctypes", "_prctl", *(f"mctld.{name}" for name in ours))
    assert [name for name in heavy if name in loaded] == []


def test_the_spawner_is_light() -> None:
    code = (
        "import sys; before = {*sys.modules}; sys.path += sys.argv[1:]\n"
        "import mctld.runtime.spawner; print(*{*sys.modules} - before)"
    )
    command = [sys.executable, "-IS", "-c", code, str(SERVICE.parent), extensions()]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    loaded = result.stdout.split()
    assert "mctld.runtime.spawner" in loaded
    assert {m.split(".")[0] for m in loaded if not m.startswith("_")} <= SPAWNER_LOADS
    assert {m.split(".")[1] for m in loaded if m.startswith("mctld.")} <= SPAWNER_LOADS_OF_OURS
