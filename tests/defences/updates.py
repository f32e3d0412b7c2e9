# SPDX-License-Identifier: GPL-3.0-or-later
"""Around what changes of a container that runs: who may, all or nothing, and nobody else's processes and files."""

from __future__ import annotations

from defences.table import Defence

UPDATES = (
    Defence(
        "what it has not had takes org.mctl1.create-privileged",
        "service/mctld/bus/updating.py",
        "actions=(SET_LIMITS, UPDATE_PRIVILEGED) if more else (SET_LIMITS,),",
        "actions=(SET_LIMITS,),",
        "tests/bus/test_update.py -k takes_what",
    ),
    Defence(
        "another's container tells nothing by what is asked",
        "service/mctld/bus/updating.py",
        "if subject is not None and about.owner == call.uid else None",
        "if subject is not None else None",
        "tests/bus/test_update.py -k anothers",
    ),
    Defence(
        "devices of an update are bounded before each is looked at",
        "service/mctld/bus/updating.py",
        'device.check_number(len(values.get("Devices", ())))',
        "pass",
        "tests/bus/test_update.py -k bad_change",
    ),
    Defence(
        "consent counts for what the question has named",
        "service/mctld/change.py",
        "if each not in self.consented]",
        "if not self.consented]",
        "tests/bus/test_update.py -k consent",
    ),
    Defence(
        "what was taken away while somebody was asked is not given again",
        "service/mctld/change.py",
        "        if more:\n",
        "        if False:\n",
        "tests/bus/test_update.py -k was_taken_away",
    ),
    Defence(
        "an update that fails leaves a service's file as it was",
        "service/mctld/lifecycle/limits.py",
        "            undo.add(bootunit.renew, machinery, record)\n",
        "",
        "tests/unit/test_updates.py -k whichever",
    ),
    Defence(
        "an update that fails leaves limits of processes as they were",
        "service/mctld/lifecycle/limits.py",
        "            undo.add(_limit, machinery, record, running.undo)\n",
        "",
        "tests/unit/test_updates.py -k whichever",
    ),
    Defence(
        "an update that fails is not shown",
        "service/mctld/lifecycle/limits.py",
        "            undo.add(_shown, show, record)\n",
        "",
        "tests/unit/test_updates.py -k whichever",
    ),
    Defence(
        "what is executed while limits change is not missed",
        "service/mctld/lifecycle/limits.py",
        "            if place and running:\n",
        "            if False:\n",
        "tests/unit/test_updates.py -k executed_meanwhile",
    ),
    Defence(
        "an update that is left half done is told as that",
        "service/mctld/lifecycle/undoing.py",
        "        if failures and self._counts():\n",
        "        if False:\n",
        "tests/unit/test_updates.py -k taken_back",
    ),
    Defence(
        "limits of a process of the host's are never touched",
        "service/mctld/runtime/rlimits.py",
        '        if os.stat(f"/proc/{pid}/ns/pid").st_ino == self._own:',
        "        if False:",
        "tests/unit/test_running_limits.py -k hosts",
    ),
    Defence(
        "limits are given back to the process that had them, not to the next with its number",
        "service/mctld/runtime/rlimits.py",
        "identity in self._before if only is None else identity != only",
        "identity in self._before if only is None else False",
        "tests/unit/test_running_limits.py -k anothers",
    ),
    Defence(
        "who is born while limits are set has them too",
        "service/mctld/runtime/rlimits.py",
        "CLEAN = 2 ",
        "CLEAN = 1 ",
        "tests/unit/test_running_limits.py -k born",
    ),
    Defence(
        "children that nobody has seen have what is usual again",
        "service/mctld/runtime/rlimits.py",
        "        self._repeat(self._put_back)\n",
        "",
        "tests/unit/test_running_limits.py -k children",
    ),
    Defence(
        "a device's node is shown through no link of the container's",
        "service/mctld/runtime/plugging.py",
        "_WITHIN = c.RESOLVE_BENEATH | c.RESOLVE_NO_SYMLINKS | c.RESOLVE_NO_MAGICLINKS",
        "_WITHIN = 0",
        "tests/kernel/test_nodes.py -k link",
    ),
    Defence(
        "a device's node is shown in no other mount",
        "service/mctld/runtime/plugging.py",
        "        return files.openat2(place, path, _DIRECTORY, _WITHIN | c.RESOLVE_NO_XDEV)\n    except",
        "        return files.openat2(place, path, _DIRECTORY, _WITHIN)\n    except",
        "tests/kernel/test_nodes.py -k other_mount",
    ),
    Defence(
        "a /dev that the container has mounted itself is left alone",
        "service/mctld/runtime/plugging.py",
        "if files.filesystem_type(place) != c.TMPFS_MAGIC:",
        "if False:",
        "tests/kernel/test_nodes.py -k another_dev",
    ),
    Defence(
        "what the container has mounted over a device's node stays",
        "service/mctld/runtime/plugging.py",
        "if not _is_node_of(device, os.fstat(found)):",
        "if False:",
        "tests/kernel/test_nodes.py -k somebody_else",
    ),
    Defence(
        "what is made in a container's /dev belongs to its root",
        "service/mctld/runtime/plugging.py",
        "        process.set_filesystem_ids(owner)\n",
        "",
        "tests/kernel/test_nodes.py -k come_change",
    ),
    Defence(
        "devices come and go all together, or none does",
        "service/mctld/runtime/plugging.py",
        "        for device in reversed(shown):\n            _close(_take(place, device))\n",
        "",
        "tests/kernel/test_nodes.py -k all_of_them",
    ),
)
