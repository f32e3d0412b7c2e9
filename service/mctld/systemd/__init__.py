# SPDX-License-Identifier: GPL-3.0-or-later
"""PID 1 and the journal, spoken to over their public interfaces."""
