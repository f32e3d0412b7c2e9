# SPDX-License-Identifier: GPL-3.0-or-later
"""What the container's process does itself, step by step, before it executes the payload."""
