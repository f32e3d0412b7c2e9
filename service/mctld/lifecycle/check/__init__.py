# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host offers and what it lacks: facts are read in one function, judged in another, told as Findings."""
