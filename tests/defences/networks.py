# SPDX-License-Identifier: GPL-3.0-or-later
"""The defences of names on networks, and of what stands in rules of addresses: as table.py has the others."""

from __future__ import annotations

from defences.table import Defence

NETWORKS = (
    Defence(
        "no network is changed in the namespace of whoever has the pid of what has ended",
        "service/mctld/runtime/namespace.py",
        "        signal.pidfd_send_signal(process, 0)  # it has",
        "        pass  # it has",
        "tests/unit/test_namespace.py -k another",
    ),
    Defence(
        "credentials and sockets are taken from the process of the unit, not from whoever has its pid",
        "service/mctld/runtime/launcher.py",
        "        signal.pidfd_send_signal(self._pidfd, 0)\n",
        "",
        "tests/unit/test_namespace.py -k two_looks",
    ),
    Defence(
        "nobody claims a container's place by its address on a link that the host does not guard",
        "service/mctld/names/table.py",
        "            if place.gateway:\n                self._askers[place.address] = identity",
        "            self._askers[place.address] = identity",
        "tests/unit/test_macvlan.py -k where_the_host_is_not",
    ),
    Defence(
        "root's place on a link is not everybody's unasked",
        "service/mctld/networking.py",
        "(self.macvlan is None or self.macvlan.shared)",
        "True",
        "tests/unit/test_macvlan.py -k roots",
    ),
    Defence(
        "a link is not entered by way of one of our own bridges",
        "service/mctld/macvlan.py",
        'if name == "lo" or _OURS.fullmatch(name):',
        'if name == "lo":',
        "tests/unit/test_macvlan.py -k what_is_refused",
    ),
    Defence(
        "owners do not see or take each other's names on a network",
        "service/mctld/names/table.py",
        "dict.fromkeys((place.network, asker.owner) for place in asker.places)",
        "dict.fromkeys(v for place in asker.places for v in self._views if v[0] == place.network)",
        "tests/unit/test_names.py -k owners",
    ),
    Defence(
        "only containers are answered by the name server",
        "service/mctld/names/server.py",
        "        if known is None:\n            hosted =",
        "        known = known or next(iter(self._table._entries.values()))\n"
        "        if known is None:\n            hosted =",
        "tests/unit/test_names.py -k 'no_container'",
    ),
    Defence(
        "a container's question for NAME.mctl is not passed on, to come back as the host's",
        "service/mctld/names/server.py",
        "        if hosted or (question.is_address",
        "        if (question.is_address",
        "tests/unit/test_hostnames.py -k containers_learn_nothing",
    ),
    Defence(
        "another's port on call is not published",
        "service/mctld/lifecycle/publishing.py",
        "        for other in self._expected.values():",
        "        for other in ():",
        "tests/unit/test_publishing.py -k start_a_container",
    ),
    Defence(
        "who calls before the program listens is not sent away",
        "service/mctld/relaying/server.py",
        "            except ConnectionRefusedError:\n",
        "            except ConnectionRefusedError:\n                end = 0\n",
        "tests/unit/test_activation.py -k 'before_the_program'",
    ),
    Defence(
        "a container on internal networks only gets nothing out by way of name servers",
        "service/mctld/names/server.py",
        "if not known.outside:",
        "if False:",
        "tests/unit/test_names.py -k internal",
    ),
    Defence(
        "a forged answer is not passed on",
        "service/mctld/names/message.py",
        "found == identity and bool",
        "bool",
        "tests/unit/test_names.py -k only_the_answer",
    ),
    Defence(
        "one container's questions do not take the name server from others",
        "service/mctld/names/allowance.py",
        " or self._used[asker] >= OF_CONTAINER",
        "",
        "tests/unit/test_names.py -k 'container_hurts'",
    ),
    Defence(
        "one owner's questions, from however many containers, do not take the name server from others",
        "service/mctld/names/allowance.py",
        "self._used[owner] >= OF_OWNER or ",
        "",
        "tests/unit/test_names.py -k 'owner_hurts'",
    ),
    Defence(
        "who is no container has no stream to the name server",
        "service/mctld/names/listening.py",
        "None if owner is None else self._streams.admit(owner, asker, end)",
        "self._streams.admit(owner or 0, asker, end)",
        "tests/unit/test_names.py -k hold_up",
    ),
    Defence(
        "idle streams of one owner do not keep others from the name server",
        "service/mctld/names/streams.py",
        "(owners[stream.owner], -stream.idle, stream)",
        "(0, -stream.idle, stream)",
        "tests/unit/test_names.py -k hold_up",
    ),
    Defence(
        "nobody outside reaches the name server",
        "service/mctld/network/ruleset.py",
        "th dport 53 ip daddr @gateways4 drop",
        "th dport 53 ip daddr @gateways4 accept",
        "tests/kernel/test_firewall.py -k name_server",
    ),
    Defence(
        "the library of nftables does not abort a service that has more descriptors than select(2) knows",
        "service/mctld/network/firewall.py",
        "    process.leave_descriptors(STANDARD_STREAMS)\n",
        "",
        "tests/kernel/test_firewall.py -k select-knows",
    ),
    Defence(
        "a container that ends while a port is published for it keeps no rule",
        "service/mctld/lifecycle/publishing.py",
        "                if self._is_current(claim):\n",
        "                if claim:\n",
        "tests/unit/test_publishing.py -k ends_while",
    ),
    Defence(
        "datagrams to a port do not go on to reach the container that had it before",
        "service/mctld/lifecycle/publishing.py",
        "            await _forget_flows((*fresh, *removed))\n",
        "",
        "tests/unit/test_publishing.py -k datagrams",
    ),
    Defence(
        "an address with an interface's zone, which may hold anything, does not get into a unit's file",
        "service/mctld/reach.py",
        'if "%" not in text:',
        "if True:",
        "tests/unit/test_reach.py",
    ),
)
