# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: layers on disk, archives in and out."""
