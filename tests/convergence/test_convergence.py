"""A short play of the oracle on each database, and the planted faults that it finds at once; `make oracle` tries all."""

from __future__ import annotations

import asyncio

import pytest

from tests.convergence.faults import FAULTS
from tests.convergence.oracle import run
from tests.convergence.shown import Lie


@pytest.mark.parametrize(("kind", "seconds"), [("sqlite", 8), ("postgres", 1)])
def test_every_client_shows_what_its_select_returns(kind: str, seconds: float) -> None:
    print(asyncio.run(run(kind, range(1000), seconds=seconds)))


# Found when a token ends, or somebody is banned, at the right moment; `make oracle` has the time.
SLOW = {
    "no buffer between the rows and what is live",
    "rights that do not end",
    "a recheck that asks nobody",
    "a resume that skips a commit",
}


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - SLOW))
def test_a_fault_is_found(fault: str) -> None:
    with pytest.raises(Lie) as found:
        asyncio.run(run("sqlite", range(1000), fault=fault, seconds=60))
    print(f"{fault}: {str(found.value)[:200]}")
