"""Plays thousands of random trees on one database and counts: `python -m tests.properties.oracle sqlite 10000`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event

from tests.properties.trees import grow, play, story
from tests.properties.world import Failure, World
from tests.support.databases import postgres_engine, sqlite_engine

# One statement may change so many rows where the limit is to be felt.
FEW = 3


@contextmanager
def world(kind: str, **options: Any) -> Iterator[World]:
    """A new database of a kind, in which nobody waits long for anybody else's locks."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            engine = sqlite_engine(Path(folder))
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=0"))
            made = World(engine, **options)
            try:
                yield made
            finally:
                made.close()
                engine.dispose()
    else:
        with postgres_engine(connect_args={"options": "-c lock_timeout=4ms"}) as engine:
            made = World(engine, **options)
            try:
                yield made
            finally:
                made.close()


def run(kind: str, seeds: range) -> Counter[str]:
    """Play the trees of these seeds, every tenth where statements may change few rows. Raises Failure with the story."""
    with world(kind) as wide, world(kind, statement_rows=FEW) as narrow:
        for seed in seeds:
            tree, place = grow(seed), narrow if seed % 10 == 9 else wide
            try:
                play(place, tree)
            except Failure as failure:
                raise Failure(f"{kind}: {story(place, tree, failure)}") from None
        return wide.counts + narrow.counts


def main() -> None:
    kinds = ["sqlite", "postgres"] if len(sys.argv) < 2 else sys.argv[1:2]
    trees = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("TREES", "10000"))
    first = int(os.environ.get("SEED", "0"))
    for kind in kinds:
        began = time.monotonic()
        try:
            counts = run(kind, range(first, first + trees))
        except Failure as failure:
            sys.exit(str(failure))
        words = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        print(f"{kind}: seeds {first} to {first + trees - 1}: {words}; {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
