# SPDX-License-Identifier: GPL-3.0-or-later
"""Options about registries. What they do is loaded only where an image is fetched or sent."""

from __future__ import annotations

from .failures import UsageError
from .formats import truth
from .parser import Option


def user_name(flag: str, text: str) -> str:
    if ":" in text:
        raise UsageError(f"{flag} takes a name alone: a password on the command line is everybody's to read")
    if not text:
        raise UsageError(f"{flag} needs a name")
    return text


def pull_policy(flag: str, text: str) -> str:
    if text not in ("missing", "always", "never"):
        raise UsageError(f"{flag} {text!r} is not known: give missing, always or never")
    return text


ACCESS = (
    Option(("--creds",), "log in as USER; the password is asked for, or read", value="USER", convert=user_name),
    Option(("--authfile",), "log in as `skopeo login` has written into FILE", value="FILE"),
    Option(("--tls-verify",), "false: also without TLS", value="true|false", convert=truth, implied="true"),
)
PULL = Option(("--pull",), "fetch its image, missing if not given", value="always|missing|never", convert=pull_policy)
