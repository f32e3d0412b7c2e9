# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that are being brought in, and how many a user may have: who comes in the door."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from ..errors import LimitReached, LimitsExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..image import Image
    from ..images.layers import Layers
    from ..quotas import Quotas
    from .disposal import Disposal

AT_ONCE_OF_ONE, AT_ONCE = 4, 16
ROOT_UID = 0


class Arrivals:
    def __init__(
        self, layers: Layers, disposal: Disposal, quotas: Quotas, images: Callable[[], Iterable[Image]]
    ) -> None:
        self._layers = layers
        self._disposal = disposal
        self._quotas = quotas
        self._images = images
        self._under_way: Counter[int] = Counter()

    @contextlib.contextmanager
    def admitted(self, uid: int) -> Iterator[None]:
        self.check_room(uid)
        self._layers.make_room(self._disposal.add)
        mine, all_ = self._under_way[uid], self._under_way.total()
        if mine >= AT_ONCE_OF_ONE or (uid != ROOT_UID and all_ >= AT_ONCE):
            raise LimitsExceeded(
                f"{mine} images of yours and {all_} in all are being brought in: the most is {AT_ONCE_OF_ONE} and "
                f"{AT_ONCE}; wait for one to end"
            )
        self._under_way[uid] += 1
        try:
            yield
        finally:
            self._under_way -= Counter({uid: 1})

    def check_room(self, uid: int) -> None:
        """For one more image: LimitReached."""
        if uid == ROOT_UID:
            return
        own = [image for image in self._images() if image.owner_uid == uid]
        most = self._quotas.images
        if most is not None and len(own) >= most:
            raise LimitReached(
                f"user {uid} has {len(own)} images, and may have {most} (ImagesPerOwner= in mctld.conf(5)): remove one"
            )
        most = self._quotas.image_gib
        size = sum({layer.key: layer.size for image in own for layer in image.layers}.values())
        if most is not None and size >= most << 30:
            raise LimitReached(
                f"the images of user {uid} have {size} bytes, and may have {most} GiB"
                " (ImageGiBPerOwner= in mctld.conf(5)): remove one"
            )
