"""Every planted fault is caught, by a random tree of the central property or by a scene; unplanted, all of it passes."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.properties.mutants import MUTANTS, Mutant
from tests.properties.oracle import world
from tests.properties.scenes import SCENES
from tests.properties.trees import grow, play
from tests.properties.world import Failure
from tests.support.databases import postgres_engine
from tests.support.models import Base

# How many trees are tried when the one that is written down has become another.
TRIES = 400


@pytest.fixture
def quiet() -> Iterator[None]:
    """A broken capture logs what breaks; nobody needs to read it."""
    log = logging.getLogger("sqla_realtime")
    log.propagate = False
    yield
    log.propagate = True


@pytest.fixture
def postgres() -> Iterator[Engine]:
    """The tables of the test models, where transactions can meet."""
    with postgres_engine() as engine:
        Base.metadata.create_all(engine)
        yield engine


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 20
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert {mutant.scene for mutant in MUTANTS if mutant.scene} <= set(SCENES)


@pytest.mark.parametrize("name", SCENES)
def test_the_code_as_it_is_passes_every_scene(name: str, postgres: Engine) -> None:
    SCENES[name](postgres)


def test_the_code_as_it_is_passes_every_tree_that_catches_a_fault() -> None:
    with world("sqlite") as stage:
        for seed in sorted({mutant.seed for mutant in MUTANTS if not mutant.scene}):
            play(stage, grow(seed))


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mutant", [each for each in MUTANTS if not each.scene], ids=lambda each: each.name)
def test_a_fault_is_caught_by_a_tree(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.plant(monkeypatch)
    with world("sqlite") as stage:
        for seed in (mutant.seed, *range(TRIES)):
            try:
                play(stage, grow(seed))
            except Failure as failure:
                print(f"{mutant.name}: caught by tree {seed}: {str(failure).splitlines()[0]}")
                return
    pytest.fail(f"{mutant.name}: {TRIES} trees did not catch it")


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each.scene], ids=lambda each: each.name)
def test_a_fault_is_caught_by_its_scene(mutant: Mutant, postgres: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.plant(monkeypatch)
    assert mutant.scene is not None
    with pytest.raises(AssertionError) as caught:
        SCENES[mutant.scene](postgres)
    print(f"{mutant.name}: caught by {mutant.scene}: {str(caught.value).splitlines()[0]}")
