"""One user of the database: a Session, perhaps joined to an outer transaction, with its savepoints and the objects it keeps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.engine import NestedTransaction, RootTransaction
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, SessionTransaction

from tests.properties.models import Base
from tests.properties.world import World, family_of

JOIN_MODES = ("conditional_savepoint", "rollback_only", "control_fully", "create_savepoint")


class Actor:
    """``permitted`` are the patterns that may be in doubt when the open transaction commits; ``exact`` is unset by
    whatever makes a row's old values unknown, so that telling it without need is no fault."""

    def __init__(self, world: World, exact: bool) -> None:
        self.world = world
        self.starts_exact = exact
        self.session: Session | None = None
        self.kept: list[Any] = []
        self.outer: Connection | None = None
        self.root: RootTransaction | None = None
        self.points: list[NestedTransaction] = []
        self.mode = ""
        self.nested: list[SessionTransaction] = []
        self.renew()

    def renew(self) -> None:
        """The Session's transaction has ended; one that contains it may go on."""
        self.nested = []
        if self.outer is not None:
            return
        self.permitted = set(self.world.patterns) - self.world.wanted
        self.exact = self.starts_exact
        self.written: set[tuple[Any, str]] = set()

    def note(self, target: Any, name: str) -> None:
        """An attribute is set: what it was before a second time is not known to anybody who does not ask the database."""
        self.exact = self.exact and (target, name) not in self.written
        self.written.add((target, name))

    def use(self) -> Session:
        """The Session, opened by itself where it is not open yet."""
        if self.session is None:
            self.session = self.world.sessions()
        return self.session

    def open(self, mode: int, expire: bool) -> None:
        """Begin with a new Session, by itself or in an outer transaction; what was open is dropped."""
        self.leave()
        options: dict[str, Any] = {"expire_on_commit": expire}
        if mode >= 0:
            self.mode = JOIN_MODES[mode]
            self.outer = self.world.engine.connect()
            self.root = self.outer.begin()
            options |= {"bind": self.outer, "join_transaction_mode": self.mode}
        self.session = self.world.sessions(**options)

    def leave(self) -> None:
        """Close everything without a COMMIT."""
        steps: list[Callable[[], object]] = []
        if self.session is not None:
            steps.append(self.session.close)
        if self.root is not None:
            steps += [self.root.rollback]
        if self.outer is not None:
            steps.append(self.outer.close)
        for step in steps:
            try:
                step()
            except SQLAlchemyError:
                # Not even a ROLLBACK went well: the connection is of no use any more.
                with suppress(SQLAlchemyError):
                    (self.outer or self.session).invalidate()  # type: ignore[union-attr]
        self.session = self.outer = self.root = None
        self.points, self.kept = [], []
        self.renew()

    def recover(self, lightly: bool) -> None:
        """A statement failed: go back to the innermost savepoint, or give the transaction up."""
        self.exact = False
        if lightly and self.nested:
            try:
                self.nested.pop().rollback()
            except SQLAlchemyError:
                self.recover(False)
            return
        if self.outer is not None or self.session is None:
            self.leave()
            return
        try:
            self.session.rollback()
            self.renew()
        except SQLAlchemyError:
            self.leave()

    def doubt(self, model: type[Base]) -> None:
        """A statement that is not followed exactly writes to a model's table."""
        self.permitted |= family_of(model)
        self.exact = False

    def bounded(self, model: type[Base]) -> None:
        """A statement, or a cascade, that the limit may be too low for."""
        self.exact = self.exact and not self.written
        if self.world.limited:
            self.doubt(model)

    def objects(self, model: type[Base], choice: int) -> list[Any]:
        """Instances: those in the Session already, or read with or without a flush before."""
        session = self.use()
        if choice % 4 == 0:
            found = [each for each in session.identity_map.values() if isinstance(each, model)]
            return sorted(found, key=lambda each: each.__mapper__.primary_key_from_instance(each))
        statement = select(model).order_by(*model.__mapper__.primary_key)  # type: ignore[attr-defined]
        if choice % 4 == 1:
            return list(session.scalars(statement))
        with session.no_autoflush:
            return list(session.scalars(statement))

    def pick(self, model: type[Base], choice: int) -> Any:
        """One instance, or None."""
        found = self.objects(model, choice)
        chosen = found[choice // 4 % len(found)] if found else None
        if chosen is not None:
            self.kept.append(chosen)
        return chosen

    def key(self, model: type[Base], choice: int) -> int | None:
        """The id of a stored row, as this transaction sees it."""
        with self.use().no_autoflush:
            statement = select(model.__mapper__.primary_key[0]).order_by(*model.__mapper__.primary_key)  # type: ignore[attr-defined]
            keys = list(self.use().scalars(statement))
        return keys[choice % len(keys)] if keys else None


Step = Callable[[Actor, int, int, int], None]
STEPS: dict[str, tuple[int, Step]] = {}


def step(weight: int) -> Callable[[Step], Step]:
    """Register a step under its function's name."""

    def register(function: Step) -> Step:
        STEPS[function.__name__] = weight, function
        return function

    return register
