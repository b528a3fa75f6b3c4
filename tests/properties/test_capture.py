"""The central property: whatever a transaction does, its commit makes a client's channels equal to the tables.

TREES is how many random trees are played on each database, SEED the first of them. A failure prints the seed and the
shortest list of steps that fails too; `SEED=<seed> TREES=1` plays it alone, and `make oracle` plays thousands.
"""

from __future__ import annotations

import os

import pytest

from tests.properties.actor import STEPS
from tests.properties.oracle import run
from tests.properties.trees import grow

TREES = int(os.environ.get("TREES", "200"))
SEED = int(os.environ.get("SEED", "0"))


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_client_holds_what_the_tables_hold_after_every_commit(kind: str) -> None:
    counts = run(kind, range(SEED, SEED + TREES))
    print(f"{kind}: {dict(counts)}")
    assert counts["trees"] == TREES
    if TREES >= 100:
        assert counts["transactions"] > TREES / 2, "most trees must come to a COMMIT"
        assert counts["changes"] > 2 * TREES
        assert counts["invalidations"] < counts["transactions"] / 5, "doubt must stay the exception"


def test_a_seed_grows_the_same_tree_every_time() -> None:
    assert grow(7) == grow(7)
    assert {move.step for seed in range(100) for move in grow(seed).moves} == set(STEPS)
