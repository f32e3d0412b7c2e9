# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl-relay: takes connections that PID 1 has listened for to a container. A program of its own, without rights."""
