# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a container's processes are counted and limited: cgroup v2, by PID 1's scopes or by hand."""
