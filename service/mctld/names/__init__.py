# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl-names: answers containers' questions for names. A program of its own, without rights but port 53."""
