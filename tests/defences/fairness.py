# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps one user's work from holding up everybody else's."""

from __future__ import annotations

from defences.table import Defence

FAIRNESS = (
    Defence(
        "archives that never come are given up",
        "service/mctld/images/child.py",
        "while poller.poll(patience * 1000):",
        "while poller.poll(None if patience else 0):",
        "tests/unit/images/test_patience.py -k nothing",
    ),
    Defence(
        "other users' archives do not keep root's out",
        "service/mctld/lifecycle/arrivals.py",
        "uid != ROOT_UID and all_ >=",
        "all_ >=",
        "tests/unit/images/test_patience.py -k root",
    ),
    Defence(
        "what a user leaves unread is looked at again after polkit was asked",
        "service/mctld/bus/dispatch.py",
        "        await check()  # others",
        "        # others",
        "tests/bus/test_backlog.py -k while_polkit",
    ),
    Defence(
        "long lists are made beside the event loop",
        "service/mctld/bus/lists.py",
        "await self._lanes.run(call.uid, lambda: _made(rows), ExitStack(), lambda _: None, call.check_unread)",
        "_made(rows)",
        "tests/unit/test_looking.py -k long_lists",
    ),
    Defence(
        "processes of a container are read and told beside the threads that every start needs",
        "service/mctld/lifecycle/container.py",
        "looking.run(self.owner_uid, lambda: told(processes.read(group)), lent, lambda _: None, ready)",
        '__import__("asyncio").to_thread(lambda: told(processes.read(group)))',
        "tests/unit/test_looking.py -k processes",
    ),
    Defence(
        "links of an image are followed beside the threads that every start needs",
        "service/mctld/lifecycle/deriving.py",
        "images.looking.run(uid, lambda: merge.resolve(os.fsencode(path)), lent, lambda _: None)",
        '__import__("asyncio").to_thread(lambda: merge.resolve(os.fsencode(path)))',
        "tests/unit/test_looking.py -k links",
    ),
    Defence(
        "a container that floods the name server leaves room for others",
        "service/mctld/network/ruleset.py",
        "limit rate over 1000/second burst 2000 packets } drop",
        "limit rate over 1000/second burst 2000 packets } accept",
        "tests/kernel/test_asking.py",
    ),
    Defence(
        "an image cannot say for how long its links are followed",
        "service/mctld/images/merge.py",
        "if names > NAMES:",
        "if False:",
        "tests/unit/images/test_content.py -k far",
    ),
)
