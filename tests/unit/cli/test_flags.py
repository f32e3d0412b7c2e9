# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service says of options reaches a person with the flags that were typed."""

from __future__ import annotations

import pytest

from mctl.failures import FREEDESKTOP, MCTL, failure
from mctl.flags import FLAGS, WORDS
from mctl.parser import VERBS, load
from mctld.bus import options

WITHOUT_FLAG = {
    "AfterCursor", "Broken", "Command", "Fields", "Follow", "Image", "Output", "Rootfs", "Stdin",
    "TerminalSize",
}  # fmt: skip


def said(name: str, text: str) -> str:
    return str(failure(name, text, status=1))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("AddCapabilities 'FOO' is not known", "--cap-add 'FOO' is not known"),
        ("option TasksMax must be 1", "--pids must be 1"),
        ("Unmask has 99 entries", "--security-opt unmask has 99 entries"),
        ("Networks a and HostNetwork exclude each other", "--network a and --network host exclude each other"),
        ("option 'AddCapabilities' is not known", "option 'AddCapabilities' is not known"),
        ("User 'User' has no entry", "--user 'User' has no entry"),
        ("container 'web' has /srv/Volumes and a-User", "container 'web' has /srv/Volumes and a-User"),
        ("ContainersPerOwner= in mctld.conf(5)", "ContainersPerOwner= in mctld.conf(5)"),
        ("filter Properties 'Foo' is not known", "--format 'Foo' is not known"),
        ("filter States 'foo' is not known", "--filter state 'foo' is not known"),
        ("MemoryMax= of the unit", "MemoryMax= of the unit"),
    ],
)
def test_flags_stand_for_options(text: str, told: str) -> None:
    assert said(FREEDESKTOP + "InvalidArgs", text) == told


def test_words_stay_where_nobody_speaks_of_options() -> None:
    assert said(MCTL + "SetupFailed", "cannot enforce MemoryMax for the User") == "cannot enforce --memory for the User"
    assert said("com.example.Other", "MemoryMax") == "MemoryMax (com.example.Other)"


def test_every_option_has_its_flag() -> None:
    """Of those that calls of the command line have: what a flag is called here, an option of a verb is called too."""
    known = {*options.RUN, *options.EXEC, *options.UPDATE, *options.STOP, *options.LOG, *options.NETWORK}
    assert known - FLAGS.keys() - WORDS.keys() == WITHOUT_FLAG
    flags = {name for verb in VERBS for option in load(verb).VERB.options for name in option.names}
    assert {flag.split()[0] for flag in (*FLAGS.values(), *WORDS.values())} <= flags
