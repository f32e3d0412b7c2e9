# SPDX-License-Identifier: GPL-3.0-or-later
"""mctld(8)."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from . import journal_settings, network_settings, quotas
from .daemon import serve, take_down_networks
from .errors import MctlError, StoreFailed, StoreIsNewer
from .reporting import Reporting
from .settings import Settings

EXIT_FAILURE = 1
EX_USAGE = 64
PAUSE = 5.0  # seconds before mctld.service is started again: the disk may have been mended by then
EX_CONFIG = 78  # sysexits.h: mctld.service is not started again before somebody has looked


def main() -> int:
    reporting = Reporting.open()
    try:
        match sys.argv[1:]:
            case []:
                asyncio.run(serve(_settings(), reporting))
            case ["--take-down-networks"]:
                asyncio.run(take_down_networks(Settings()))
            case _:
                logging.getLogger(__name__).critical("usage: mctld [--take-down-networks]")
                return EX_USAGE
    except StoreIsNewer as error:
        logging.getLogger(__name__).critical("%s", error)
        return EX_CONFIG
    except StoreFailed as error:
        logging.getLogger(__name__).critical("%s", error)
        time.sleep(PAUSE)
        return EXIT_FAILURE
    except (MctlError, OSError) as error:
        logging.getLogger(__name__).critical("%s", error)
        return EXIT_FAILURE
    return 0


def _settings() -> Settings:
    return Settings(quotas=quotas.read(), network=network_settings.read(), journal=journal_settings.read())


if __name__ == "__main__":
    sys.exit(main())
