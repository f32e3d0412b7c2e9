# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan of this command may ask of the stage: its own operations, and those that every container has."""

from __future__ import annotations

from ...runtime import programs, stage
from . import credentials, mounts, nodes, notifying, payload, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

OPERATIONS: Mapping[str, stage.Operation] = {
    **stage.OPERATIONS,
    "out-of-reach": credentials.stay_out_of_reach,
    "become-root": credentials.become_root,
    "become-user": credentials.become_user,
    "capability-sets": credentials.set_capabilities,
    "open-labels": credentials.open_labels,
    "labels": credentials.set_labels,
    "domainname": payload.set_domainname,
    "scheduling": payload.set_scheduling,
    "inherited": payload.reset_inherited,
    "session-terminal": payload.take_terminal,
    "directory": payload.enter_directory,
    "command": payload.find_program,
    "bundle-root": mounts.attach_root,
    "mount": mounts.mount_filesystem,
    "show": mounts.bind,
    "cgroup": mounts.mount_cgroup,
    "parameter": mounts.set_sysctl,
    "paths-read-only": mounts.make_paths_read_only,
    "root-read-only": mounts.make_root_read_only,
    "root-propagation": mounts.set_root_propagation,
    "chroot": mounts.enter_root,
    "node": nodes.make_device,
    "link": nodes.make_link,
    "console": nodes.show_console,
    # Not "gate": the byte that opens it comes only after the report, so a failure before leaves nothing unread.
    "proceed": programs.wait_at_gate,
    "report": waiting.report,
    "wait": waiting.wait_for_start,
    "hooks": waiting.run_hooks,
    "flagged-seccomp": notifying.load_filter,
    "asking-seccomp": notifying.load_asking_filter,
}
