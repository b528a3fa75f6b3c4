"""A short play of the oracle on each database, and the planted faults that it finds at once; `make oracle` tries all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.convergence.faults import FAULTS
from tests.convergence.oracle import run
from tests.convergence.shown import Lie


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        ("sqlite", 8),
        ("postgres", 1),
        ("shared-sqlite", 1),
        ("shared-postgres", 3),
        ("shared-mysql", 2),
        ("watched-postgres", 3),
    ],
)
def test_every_client_shows_what_its_select_returns(kind: str, seconds: float) -> None:
    print(asyncio.run(run(kind, range(1000), seconds=seconds)))


# Found when a token ends, or somebody is banned, at the right moment; `make oracle` has the time.
SLOW = {
    "no buffer between the rows and what is live",
    "rights that do not end",
    "a recheck that asks nobody",
    "a resume that skips a commit",
}


@pytest.fixture(scope="module")
def plays() -> Iterator[dict[str, Future[str]]]:
    """A play for each fault, a few at a time: each waits for its clients and its application more than it computes."""
    with ThreadPoolExecutor(4) as pool:
        yield {fault: pool.submit(play, fault) for fault in sorted(FAULTS.keys() - SLOW)}


def play(fault: str) -> str:
    return asyncio.run(run("sqlite", range(1000), fault=fault, seconds=60))


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - SLOW))
def test_a_fault_is_found(plays: dict[str, Future[str]], fault: str) -> None:
    with pytest.raises(Lie) as found:
        plays[fault].result()
    print(f"{fault}: {str(found.value)[:200]}")
