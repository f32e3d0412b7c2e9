# SPDX-License-Identifier: GPL-3.0-or-later
"""Linux: namespaces, mounts, capabilities; usable without the daemon."""
