# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels are refused by name where the host runs without what gives them a meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mctld.errors import InvalidArgs
from mctld.oci import labels

from .bundles import changed, read

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("key", "mount", "missing"),
    [
        ("process__apparmorProfile", "", "process.apparmorProfile is 'one': this host runs without AppArmor"),
        ("process__selinuxLabel", "", "process.selinuxLabel is 'one': this host runs without SELinux"),
        ("process__cwd", "one", "linux.mountLabel is 'one': this host runs without SELinux"),
    ],
)
def test_a_host_without(key: str, mount: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = read(changed(**{key: "/" if mount else "one"})).process
    profiles, systems = tmp_path / "enabled", tmp_path / "filesystems"
    monkeypatch.setattr(labels, "APPARMOR", str(profiles))
    monkeypatch.setattr(labels, "FILE_SYSTEMS", str(systems))
    for text in (None, "N\n"):
        if text:
            profiles.write_text(text)
        systems.write_text("nodev\tsysfs\n")
        with pytest.raises(InvalidArgs) as refused:
            labels.check(process, mount)
        assert str(refused.value) == missing
    profiles.write_text("Y\n")
    systems.write_text("nodev\tselinuxfs\n")
    labels.check(process, mount)
