# SPDX-License-Identifier: GPL-3.0-or-later
"""What proves to a registry who somebody is: asked for, or as docker login, podman login and skopeo login keep it.

Never on the command line, which all users of the host can read; and to the service goes one registry's entry alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .failures import UsageError

if TYPE_CHECKING:
    from .parser import Arguments

KEYS = ("auth", "identitytoken")
DOCKER_HUB = ("docker.io", "index.docker.io", "https://index.docker.io/v1/")


def authentication(arguments: Arguments, reference: str) -> int | None:
    """A descriptor with a JSON object for the service, or None: without a name."""
    if "creds" in arguments.options:
        return sealed(asked_for(arguments.options["creds"]))
    given = arguments.options.get("authfile")
    for path in [given] if given else usual_places():
        document = read(path, needed=bool(given))
        entry = entry_of(document, reference) if document else None
        if entry:
            return sealed(entry)
    return None


def asked_for(user: str) -> dict[str, str]:
    import base64

    if os.isatty(0):
        from getpass import getpass

        password = getpass(f"Password of {user}: ")
    else:
        with os.fdopen(os.dup(0), encoding="utf-8") as stream:
            password = stream.readline().rstrip("\n")
    if not password:
        raise UsageError("no password was given: it is asked for on a terminal, else it is standard input's first line")
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def usual_places() -> list[str]:
    """containers-auth.json(5)."""
    home, runtime = os.path.expanduser("~"), os.environ.get("XDG_RUNTIME_DIR")
    named = [os.environ["REGISTRY_AUTH_FILE"]] if os.environ.get("REGISTRY_AUTH_FILE") else []
    here = f"{runtime}/containers" if runtime else f"/run/containers/{os.getuid()}"
    return [
        *named, f"{here}/auth.json",
        f"{os.environ.get('XDG_CONFIG_HOME') or f'{home}/.config'}/containers/auth.json", f"{home}/.docker/config.json",
    ]  # fmt: skip


def read(path: str, *, needed: bool) -> dict[str, Any] | None:
    import json

    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and not needed:
            return None
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise UsageError(f"cannot read {path!r}: {reason}") from None
    return found if isinstance(found, dict) else None


def entry_of(document: dict[str, Any], reference: str) -> dict[str, str] | None:
    """The longest name that the reference begins with, as example.org/team before example.org."""
    entries = document.get("auths")
    if not isinstance(entries, dict):
        return None
    parts = reference.split("/")
    wanted = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    if parts[0] in DOCKER_HUB:
        wanted += DOCKER_HUB
    for name in wanted:
        entry = entries.get(name) or entries.get(f"https://{name}")
        found = {key: entry[key] for key in KEYS if isinstance(entry.get(key), str)} if isinstance(entry, dict) else {}
        if found:
            return found
    return None


def sealed(entry: dict[str, str]) -> int:
    """In memory alone."""
    import json

    descriptor = os.memfd_create("authentication", os.MFD_CLOEXEC)
    os.write(descriptor, json.dumps(entry).encode())
    return descriptor
