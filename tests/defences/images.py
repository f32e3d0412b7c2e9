# SPDX-License-Identifier: GPL-3.0-or-later
"""The defences of layers that are here already: as table.py has the others."""

from __future__ import annotations

from defences.table import Defence

IMAGES = (
    Defence(
        "a disk's failure to write a layer is told, whoever else says sync",
        "service/mctld/images/layers.py",
        "files.sync_filesystem(watched)",
        "files.sync_filesystem(os.open(self._directory, os.O_RDONLY))",
        "tests/unit/images/test_write_errors.py -k image",
    ),
    Defence(
        "no symbolic link leads out of a volume of which a part is shown",
        "service/mctld/runtime/volumes.py",
        "files.open_beneath(opened, subpath, os.O_PATH)",
        "os.open(subpath, os.O_PATH, dir_fd=opened)",
        "tests/unit/test_volumes.py -k part",
    ),
    Defence(
        "nobody comes by another's layer by its digest",
        "service/mctld/lifecycle/images.py",
        "for image in self.all() if image.visible_to(uid) for layer in image.layers)",
        "for image in self.all() for layer in image.layers)",
        "tests/unit/images/test_reuse.py -k anothers",
    ),
    Defence(
        "nobody comes by what another's interrupted pull has left",
        "service/mctld/images/blobs.py",
        'path = f"{self._directory}/{uid}/{name}"',
        'path = f"{(self._users() or [self._directory])[0]}/{name}"',
        "tests/unit/images/test_blobs.py -k nobody_else",
    ),
    Defence(
        "what an interrupted pull has left is proved",
        "service/mctld/images/blobs.py",
        "                if _is(path, digest, size):",
        "                if True:",
        "tests/unit/images/test_blobs.py -k 'is_dropped or not_followed'",
    ),
    Defence(
        "of what a transfer leaves only plain files are kept",
        "service/mctld/images/blobs.py",
        "        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_size < WORTH:",
        "        if False:",
        "tests/unit/images/test_blobs.py -k layouts_own",
    ),
    Defence(
        "a layer that is not fetched stays while it is counted on",
        "service/mctld/lifecycle/reuse.py",
        "            held.enter_context(images.kept(key))\n",
        "",
        "tests/unit/images/test_reuse.py -k meanwhile",
    ),
    Defence(
        "who could use a layer when a pull began may have it at its end",
        "service/mctld/lifecycle/stacks.py",
        "self._granted.get(key) or ",
        "",
        "tests/unit/images/test_reuse.py -k meanwhile",
    ),
    Defence(
        "what stands for one layer does not stand for another",
        "service/mctld/lifecycle/reuse.py",
        "frozenset(every - missing)",
        "frozenset(every if layers else ())",
        "tests/unit/images/test_reuse.py",
    ),
    Defence(
        "a layer that was laid upon something else is fetched",
        "service/mctld/lifecycle/reuse.py",
        "if paths is None or (paths and missing):",
        "if paths is None:",
        "tests/unit/images/test_reuse.py -k something_else",
    ),
    Defence(
        "an image that is not the one that was seen is fetched whole",
        "service/mctld/lifecycle/reuse.py",
        "        return same or not",
        "        return True or not",
        "tests/unit/images/test_reuse.py -k by_now",
    ),
)
