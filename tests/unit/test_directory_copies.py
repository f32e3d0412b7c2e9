# SPDX-License-Identifier: GPL-3.0-or-later
"""A root directory is copied with its owner's rights: what they could not read does not get into their container."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from mctld.errors import SetupFailed
from mctld.runtime import copies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALICE, GROUP = 12_345, 12_346

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the copy of another user's files takes root")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Alice's, below a directory that she may not enter; as is the place of the copy."""
    tmp_path.chmod(0o700)
    made = tmp_path / "tree"
    (made / "bin").mkdir(parents=True)
    (made / "bin/tool").write_text("tool")
    (made / "link").symlink_to("/etc/shadow")
    for path in (made, *made.rglob("*")):
        os.lchown(path, ALICE, GROUP)
    (made / "bin").chmod(0o2750)
    (made / "bin/tool").chmod(0o6711 | 0o444)
    return made


@contextmanager
def copied(tree: Path, owner: tuple[int, int] | None) -> Iterator[int]:
    with closing(_Opened(tree)) as lower:
        made = copies.copy_of(lower.descriptor, str(tree.parent / "container"), owner)
        try:
            yield made
        finally:
            os.close(made)


class _Opened:
    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)

    def close(self) -> None:
        os.close(self.descriptor)


@pytest.mark.parametrize("owner", [(ALICE, GROUP), None])
def test_owners_and_modes_are_kept(tree: Path, owner: tuple[int, int] | None) -> None:
    with copied(tree, owner) as made:
        found = {name: os.stat(name, dir_fd=made, follow_symlinks=False) for name in (".", "bin", "bin/tool", "link")}
        assert {(each.st_uid, each.st_gid) for each in found.values()} == {(ALICE, GROUP)}
        assert [found[name].st_mode & 0o7777 for name in ("bin", "bin/tool")] == [0o2750, 0o6755]
        assert os.readlink("link", dir_fd=made) == "/etc/shadow"


def test_what_the_owner_could_not_read_is_refused(tree: Path) -> None:
    """So it is where a link takes a directory's place while it is copied: the kernel asks for the owner's rights."""
    (tree / "closed").mkdir(0o700)
    (tree / "closed/diary").write_text("bob's")
    with (
        pytest.raises(SetupFailed, match=r"copy the root directory: .*'/closed'.*Permission denied"),
        copied(tree, (ALICE, GROUP)),
    ):
        pass
    assert os.listdir(tree.parent / "container") == []
    with copied(tree, None) as made:  # root's own
        assert os.stat("closed/diary", dir_fd=made).st_size == 5
