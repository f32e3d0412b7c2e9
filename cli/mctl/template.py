# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates of --format: text with fields in double braces, as far as docker's are plain. mctl(1), TEMPLATES."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .output import INFINITY, on_terminal, table, to_json
from .similarity import closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Fields = dict[str, Any]

TABLE = "table "
QUOTES = "\"`"
MOST_LISTED = 30  # fields that a refusal names; nobody reads more
# What docker and podman call what has another name here, for those who are refused.
ELSEWHERE = {
    "Config.Cmd": "Command", "Config.Env": "Environment", "Config.Hostname": "Hostname", "Config.Image": "Image",
    "Config.Labels": "Labels", "Config.User": "User", "Config.WorkingDir": "WorkingDirectory",
    "Created": "CreateTimestamp", "HostConfig.Memory": "MemoryMax", "HostConfig.RestartPolicy.Name": "RestartPolicy",
    "ID": "Id", "NetworkSettings.IPAddress": "Addresses", "NetworkSettings.Networks": "Networks",
    "NetworkSettings.Ports": "Ports", "RepoTags": "Names", "State.ExitCode": "ExitStatus",
    "State.FinishedAt": "ExitTimestamp", "State.Health.Status": "Health", "State.Pid": "MainPID",
    "State.Running": "State", "State.StartedAt": "StartTimestamp", "State.Status": "State",
}  # fmt: skip


def listing(template: str, rows: Iterable[tuple[Fields, Fields]]) -> str:
    """A line for each pair of fields and texts; after `table ` columns, with the names of the fields above them."""
    if not template.startswith(TABLE):
        return "".join(on_terminal(render(template, fields, texts)) for fields, texts in rows)
    columns = template.removeprefix(TABLE).replace("\\t", "\t").split("\t")
    return table([head(c) for c in columns], [[render(c, *row)[:-1] for c in columns] for row in rows])


def head(column: str) -> str:
    return "".join(plain + path.rpartition(".")[2].upper() for plain, path, _ in _parts(column)).strip()


def render(template: str, fields: Fields, texts: Fields | None = None) -> str:
    """A line: {{.Name}}, {{.Labels.team}}, {{json .Command}}; \\t and \\n as in Go's. texts: what stands for a field
    that is not wanted as JSON.
    """
    out = []
    for plain, path, as_json in _parts(template):
        out.append(plain)
        if not path:
            continue
        if as_json:
            out.append(to_json(_lookup(path, fields), pretty=False).rstrip("\n"))
        else:
            out.append(as_text(_lookup(path, fields | texts if texts else fields)))
    return "".join(out) + "\n"


def fields_of(template: str) -> set[str]:
    """What the template names; an empty name stands for all. A template that is wrong is so of an empty list too."""
    return {path[1:].partition(".")[0] for _, path, _ in _parts(template) if path}


def _parts(template: str) -> Iterator[tuple[str, str, bool]]:
    """Text, the field that follows it, empty at the end, and whether it is wanted as JSON. Raises UsageError."""
    rest = template.replace("\\t", "\t").replace("\\n", "\n")
    while rest:
        plain, braces, rest = rest.partition("{{")
        inner, end, rest = rest.partition("}}")
        if braces and not end:
            raise UsageError(f"--format {template!r} lacks a }}}}")
        words = inner.split()
        as_json = words[:1] == ["json"]
        path = words[1:] if as_json else words
        if words[:1] == [".Label"] and len(words) == 2:
            path = [f".Labels.{words[1].strip(QUOTES)}"]  # docker's function
        if braces and (len(path) != 1 or not path[0].startswith(".")):
            raise UsageError(
                f"--format {template!r}: write {{{{.Name}}}} or {{{{json .Name}}}}, with one field in the braces"
            )
        yield plain, path[0] if braces else "", as_json


def _lookup(path: str, fields: Fields) -> Any:
    key, _, rest = path[1:].partition(".")
    if not key:
        return fields
    if key not in fields or (rest and not isinstance(fields[key], dict)):
        raise UsageError(_unknown(path, fields))
    return fields[key].get(rest, "") if rest else fields[key]


def _unknown(path: str, fields: Fields) -> str:
    name = path[1:]
    here = ELSEWHERE.get(name, "")
    if here in fields:
        return f"--format has no field .{name}; it is .{here} here"
    close = closest(name.partition(".")[0], list(fields))
    if close:
        return f"--format has no field .{name} (did you mean .{close}?)"
    known = ", ".join(sorted(fields)) if len(fields) <= MOST_LISTED else ""
    return f"--format has no field .{name}; {f'there are {known}' if known else '{{json .}} shows all that there are'}"


def as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and not any(isinstance(item, (list, tuple, dict)) for item in value):
        return " ".join(map(str, value))
    if isinstance(value, dict) and not any(isinstance(item, (list, tuple, dict)) for item in value.values()):
        return ",".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, (list, tuple, dict)):
        return to_json(value, pretty=False).rstrip("\n")
    return "infinity" if value == INFINITY else str(value)
