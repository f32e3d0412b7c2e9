# SPDX-License-Identifier: GPL-3.0-or-later
"""Files into containers and out of them: tar streams, made and unpacked by a confined child that is inside."""
