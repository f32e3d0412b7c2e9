# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of the host: bridges, links into containers, forwarding. Blocking; the lifecycle calls it in threads."""
