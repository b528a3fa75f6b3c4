"""Random trees of transactions: a seed makes a list of steps, always the same; a failing list is cut down to what it needs."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.exc import SAWarning, SQLAlchemyError

from tests.properties import steps
from tests.properties.actor import STEPS, Actor
from tests.properties.world import Failure, World

assert steps.add.__name__ in STEPS


class Move(NamedTuple):
    """One step of one actor."""

    actor: int
    step: str
    a: int
    b: int
    c: int


@dataclass(frozen=True)
class Tree:
    """``exact``: nobody interferes and nothing is forgotten, so every told change must be a change."""

    seed: int
    exact: bool
    moves: tuple[Move, ...]


def grow(seed: int) -> Tree:
    """The tree of a seed."""
    chance = random.Random(seed)
    exact = chance.random() < 0.35
    actors = 1 if exact or chance.random() < 0.5 else 2
    names = list(STEPS)
    weights = [weight for weight, _ in STEPS.values()]
    # Each tree leans towards some of the steps, so that all meet in numbers somewhere.
    weights = [weight * chance.choice((0.2, 1, 1, 3)) for weight in weights]
    length = chance.choice((8, 12, 16, 24, 32))
    moves = [
        Move(chance.randrange(actors), name, chance.randrange(360), chance.randrange(360), chance.randrange(360))
        for name in chance.choices(names, weights, k=length)
    ]
    for _ in range(chance.choice((0, 0, 1, 2))):
        # Something happens in a savepoint that somebody rolls back, or releases.
        start = chance.randrange(length)
        end = min(length, start + chance.randrange(1, 5))
        actor = moves[start].actor
        name = chance.choice(("rollback_savepoint", "release"))
        moves[end:end] = [Move(actor, "flush", 0, 0, 0), Move(actor, name, 0, 0, chance.randrange(3))]
        moves.insert(start, Move(actor, "savepoint", 0, 0, 0))
    ends = [Move(actor, name, 1, 0, 0) for actor in range(actors) for name in ("outer_commit", "commit")]
    return Tree(seed, exact, (*moves, *ends))


def play(world: World, tree: Tree) -> None:
    """Run a tree. Raises Failure, with the step that showed it, where the client is told anything but the truth."""
    world.reset()
    actors = [Actor(world, tree.exact) for _ in range(2)]
    try:
        with warnings.catch_warnings():
            # What a stale object or a savepoint in the wrong order makes SQLAlchemy say is the user's business.
            warnings.simplefilter("ignore", SAWarning)
            for number, move in enumerate(tree.moves):
                try:
                    _step(world, actors, move)
                except Failure as failure:
                    raise Failure(f"step {number}, {move}: {failure}") from None
            for actor in actors:
                actor.leave()
            world.check(committing=False, failed=False, permitted=(), exact=False)
            if tree.seed % 16 == 0:
                world.snapshots()
    finally:
        for actor in actors:
            actor.leave()
    world.counts["trees"] += 1


def _step(world: World, actors: list[Actor], move: Move) -> None:
    actor = actors[move.actor]
    world.counts["steps"] += 1
    before, failed = world.commits, False
    permitted, exact = set(actor.permitted), actor.exact
    if move.step == "interest":
        for each in actors:
            each.permitted.add(world.patterns[move.a % len(world.patterns)])
            each.exact = False
    try:
        STEPS[move.step][1](actor, move.a, move.b, move.c)
    except (SQLAlchemyError, KeyError) as error:
        # SQLAlchemy stumbles over rows that have become another class's while it held them.
        if isinstance(error, KeyError) and "Deferred loader" not in str(error):
            raise
        failed = True
        world.counts["failed steps"] += 1
        if world.logged:
            actor.permitted |= set(world.patterns)
    committing = world.commits > before
    permitted, exact = permitted | actor.permitted, exact and actor.exact
    if failed:
        actor.recover(lightly=bool(move.c % 2))
    elif move.step == "outer_commit":
        actor.leave()
    elif committing:
        actor.renew()
    world.check(committing=committing, failed=failed, permitted=permitted, exact=exact)


def shrink(world: World, tree: Tree) -> Tree:
    """The same tree without the steps that its failure does not need."""
    moves = list(tree.moves)
    size = len(moves) // 2
    while size:
        start = 0
        while start < len(moves):
            fewer = moves[:start] + moves[start + size :]
            if _fails(world, Tree(tree.seed, tree.exact, tuple(fewer))):
                moves = fewer
            else:
                start += size
        size //= 2
    return Tree(tree.seed, tree.exact, tuple(moves))


def _fails(world: World, tree: Tree) -> bool:
    try:
        play(world, tree)
    except Failure:
        return True
    finally:
        world.read()
    return False


def story(world: World, tree: Tree, failure: Failure) -> str:
    """What failed, and the shortest list of steps found that fails too."""
    least = shrink(world, tree)
    lines: Iterator[str] = (f"    {move}," for move in least.moves)
    try:
        play(world, least)
    except Failure as last:
        failure = last
    return "\n".join([f"tree {tree.seed}, exact={tree.exact}: {failure}", *lines])
