# SPDX-License-Identifier: GPL-3.0-or-later
"""A million lines at once, while the service is restarted twice: each is there once, where it belongs, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

pytestmark = [pytest.mark.nspawn, pytest.mark.siege]

CONTAINERS, LINES = 10, 100_000
CHATTER = f'i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo "$HOSTNAME $i"; done'
NAMES = [f"chatter-{number}" for number in range(CONTAINERS)]
# Lines that are not the next one of that name, and how many there were.
COUNT = "awk -v name={0} '$0 != name \" \" NR {{ if (wrong++ < 5) print }} END {{ print NR, wrong + 0 }}'"
JOURNAL = "/etc/systemd/journald.conf.d/flood.conf"


@pytest.fixture
def large_journal(mctl: Mctl) -> Iterator[None]:
    """Nothing is to be rotated away; whatever rate limit the host has is not ours to change, and is not."""
    mctl.machine.write(JOURNAL, "[Journal]\nStorage=persistent\nSystemMaxUse=8G\n")
    mctl.shell("mkdir -p /var/log/journal; systemctl restart systemd-journald.service")
    yield
    mctl.shell(f"rm {JOURNAL}; systemctl restart systemd-journald.service; journalctl --rotate --vacuum-size=64M")


@pytest.mark.allow_journal(r"the journal does not drain")
def test_a_million_lines_arrive_once_each(mctl: Mctl, large_journal: None) -> None:
    cursor = mctl.shell("journalctl -q -n 1 --show-cursor | sed -n 's/-- cursor: //p'").text.strip()
    for name in NAMES:
        mctl.run("sh", "-c", CHATTER, options=["-d", "--name", name, "--hostname", name, "--network", "none"])
    mctl.shell(f"timeout 500 mctl logs -f {NAMES[0]} > /srv/followed 2>&1 &")
    for part in (1, 2):
        middle = LINES * part // 3
        told = f"[ \"$(mctl logs -n 1 {NAMES[-1]} | cut -d ' ' -f 2)\" -ge {middle} ]"
        mctl.shell(f"until {told}; do sleep 0.5; done; systemctl restart mctld.service", timeout=300)
    mctl("wait", *NAMES, timeout=400)
    mctl.shell("journalctl --sync", timeout=120)
    for name in NAMES:
        read = f"journalctl -q --after-cursor='{cursor}' -o cat CONTAINER_NAME={name} _SYSTEMD_UNIT=mctl-{name}.scope"
        assert mctl.shell(f"{read} | {COUNT.format(name)}", timeout=300).text == f"{LINES} 0\n"
    ended = f"until grep -q ' {LINES}$' /srv/followed; do sleep 0.2; done"
    mctl.shell(f"{ended}; sleep 1", timeout=120)
    assert mctl.shell(f"{COUNT.format(NAMES[0])} /srv/followed; rm /srv/followed").text == f"{LINES} 0\n"
