# SPDX-License-Identifier: GPL-3.0-or-later
"""The escape probes: what a hostile program in a container tries, one small action each.

Runs inside the container with its own Python and nothing else: `python3 -IBS -m escape_probes [NAME...]`. It needs only
an argv, so mctl, podman and docker run it unchanged. One JSON line per probe: {"probe": NAME, "outcome": ...}; the
outcome is "ok", a value, the name of an errno, or the name of the signal that ended the attempt. A probe that means
nothing on this machine says {"probe": NAME, "skipped": WHY}. The last line is {"probe": "end", "outcome": COUNT} and
the exit status is 123: a program that did not run is never taken for one that was held back.
"""
