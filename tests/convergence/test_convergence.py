"""A short play of the oracle on each database, and each fault that is planted into the application found by it."""

from __future__ import annotations

import asyncio

import pytest

from tests.convergence.client import Lie
from tests.convergence.faults import FAULTS
from tests.convergence.oracle import run


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_every_client_shows_what_its_select_returns(kind: str) -> None:
    print(asyncio.run(run(kind, range(1000), seconds=12)))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str) -> None:
    with pytest.raises(Lie) as found:
        asyncio.run(run("sqlite", range(1000), fault=fault, seconds=60))
    print(f"{fault}: {str(found.value)[:200]}")
