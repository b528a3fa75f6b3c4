"""A short play of the fuzzer: every answer as the model says. The long one is run by hand, as its module says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.handshakes import SECRET
from tests.support.scene import Ear, Scene, live
from tests.transports.fuzz import SETTINGS, fuzz


@pytest.mark.parametrize("seed", [1, 2])
@live
async def test_noise_harms_nobody_and_leaves_nothing(scene: Callable[..., Scene], ear: Ear, seed: int) -> None:
    ear.secrets.append(SECRET)
    await fuzz(scene(**SETTINGS), 1000, seed)
