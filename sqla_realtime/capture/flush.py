"""Notices what flushes do to published rows: which row, what kind of change, which attributes, and where it was before.

Mapper events, on published models only: they come in the order of the statements, know the Connection, see orphans and
keys that the flush itself writes, and cost other models nothing. The values that decide a row's old channel are read
from the database just before its UPDATE or DELETE, because the object in memory may be older than the row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Table, event
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.interfaces import EXT_CONTINUE

from sqla_realtime.capture.cascades import Cascades
from sqla_realtime.capture.dependants import Dependants
from sqla_realtime.capture.guard import check
from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.origins import RowOrigins
from sqla_realtime.capture.plan import Key, Plan, State
from sqla_realtime.capture.scene import Scene, identity, moving
from sqla_realtime.capture.tracker import NOTHING, Touch
from sqla_realtime.schema.references import Reference
from sqla_realtime.schema.registry import Registry

log = logging.getLogger(__name__)

EVENTS = ("before_insert", "after_insert", "before_update", "after_update", "before_delete")


_NOT_TOUCHED: frozenset[str] = frozenset()


class FlushWatcher:
    """Records a Touch for every published row that a flush inserts, updates or deletes.

    ``ledger_of`` answers None for a Session that is not enabled. ``wants`` tells whether a pattern has readers; where
    none has, nothing is read and the fact alone is recorded.
    """

    def __init__(
        self,
        registry: Registry,
        ledger_of: Callable[[Session, Connection], Ledger | None],
        wants: Callable[[str], bool],
        cascades: Cascades,
        order: Iterator[int],
    ) -> None:
        self._registry = registry
        self._dependants = Dependants(cascades)
        self._ledger_of = ledger_of
        self._wants = wants
        self._order = order
        self._origins = RowOrigins()
        self._watched: set[Mapper[Any]] = set()
        self._plans: dict[Mapper[Any], Plan] = {}
        # The last scene: a flush comes with thousands of rows of one. Another thread's in between costs a new one each.
        self._scene: Scene | None = None
        self._sources: dict[Table, list[Reference]] = {}

    def watch(self, mapper: Mapper[Any]) -> None:
        """Listen to a published model and to its subclasses, those mapped later too; to all that may turn into one."""
        family = self._registry.of(mapper)
        if family.kinds != frozenset():
            mapper = family.root
        if self._watched.isdisjoint(mapper.iterate_to_root()):
            self._watched.add(mapper)
            for name in EVENTS:
                # Anything else would be wrapped by SQLAlchemy, in a call that costs as much as ours.
                options: dict[str, Any] = {"propagate": True, "raw": True, "retval": True}
                event.listen(mapper.class_, name, getattr(self, f"_{name}"), **options)

    def start(self, session: Session) -> None:
        """A flush begins: what an earlier one read may be old."""
        self.end(session)
        sources = self._dependants.sources()
        if sources is not self._sources:
            self._sources = sources
            for registry in {each.mapper.registry for each in self._registry}:
                for mapper in registry.mappers:
                    family = self._registry.of(mapper)
                    if family.twins or family.leaves or not sources.keys().isdisjoint(mapper.tables):
                        self.watch(mapper)

    def end(self, session: Session) -> None:
        """A flush or a transaction ended: nothing of this Session is kept."""
        scene, number = self._scene, session.hash_key
        if scene is not None and scene.number == number:
            self._scene = None
        self._origins.forget(number)
        self._dependants.forget(number)

    def _before_insert(self, mapper: Mapper[Any], connection: Connection, state: State) -> object:
        scene = self._scene
        if scene is not None and scene.mapper is mapper and scene.plan.given(state) is None:
            return EXT_CONTINUE  # it takes over no row
        return self._note(self._switch, mapper, connection, state)

    def _after_insert(self, mapper: Mapper[Any], connection: Connection, state: State) -> object:
        return self._note(self._insert, mapper, connection, state)

    def _before_update(self, mapper: Mapper[Any], connection: Connection, state: State) -> object:
        return self._note(self._update, mapper, connection, state)

    def _after_update(self, mapper: Mapper[Any], connection: Connection, state: State) -> object:
        return self._note(self._switched, mapper, connection, state) if state.key is None else EXT_CONTINUE

    def _before_delete(self, mapper: Mapper[Any], connection: Connection, state: State) -> object:
        return self._note(self._delete, mapper, connection, state)

    def _note(self, note: Callable[[Scene, State], None], mapper: Mapper[Any], connection: Connection, state: State) -> object:
        scene = self._scene
        if scene is None or not scene.covers(mapper, connection, state):
            session = state.session
            ledger = self._ledger_of(session, connection) if session is not None else None
            if session is None or ledger is None:
                return EXT_CONTINUE
            scene = self._scene = self._enter(session, ledger, connection, mapper)
            if scene is None:
                return EXT_CONTINUE
        try:
            note(scene, state)
        except Exception:
            # The user's flush goes on. That something happened is remembered, so readers reload instead of guessing.
            log.exception("A changed row of %s could not be noted. [capture-failed]", mapper.class_.__name__)
            scene.tracker.doubt((mapper,))
            check(scene.ledger)
        return EXT_CONTINUE

    def _enter(self, session: Session, ledger: Ledger, connection: Connection, mapper: Mapper[Any]) -> Scene | None:
        try:
            family, plan = self._registry.of(mapper), self._plans.get(mapper)
            # It may have been made while another thread changed what it is made of.
            if plan is None or plan.family is not family or plan.sources is not self._sources:
                plan = self._plans[mapper] = Plan(mapper, family, self._sources)
            return Scene(session, ledger, connection, plan, any(map(self._wants, plan.family.patterns)))
        except Exception:
            log.exception("A changed row of %s could not be noted. [capture-failed]", mapper.class_.__name__)
            ledger.tracker.doubt((mapper,))
            return None

    def _insert(self, scene: Scene, state: State) -> None:
        plan = scene.plan
        touched = _NOT_TOUCHED if plan.is_own(state) else None
        if scene.wanted or not self._unheard(scene, touched):
            keeper = plan.keeper
            kept = None
            if keeper is not None and touched is not None and scene.tracker.roomy:
                kept = keeper.stored(state) or (plan.held(state, touched) if plan.holds else None)
            self._record(scene, plan.key(state), Touch("create", scene.mapper, NOTHING, touched, kept=kept))

    def _switch(self, scene: Scene, state: State) -> None:
        """A new object may take over the row of one that the same flush deletes: SQLAlchemy makes that one UPDATE."""
        key = scene.plan.given(state)
        if key is None:
            return
        row = scene.mapper.identity_key_from_primary_key(key, state.identity_token)
        if row not in scene.session.identity_map:
            return
        former = instance_state(scene.session.identity_map[row]).mapper
        if former is not scene.mapper:
            scene.tracker.doubt((former, scene.mapper))
        if scene.wanted:
            self._origins.look(scene, key, lambda: (), key_lock=False, whole=True)

    def _switched(self, scene: Scene, state: State) -> None:
        key = scene.plan.key(state)
        before = self._origins.take(scene, key) or NOTHING
        self._record(scene, key, Touch("update", scene.mapper, before))

    def _update(self, scene: Scene, state: State) -> None:
        plan = scene.plan
        touched = plan.touched(state)
        if not touched:
            return
        old_key, key = identity(state), plan.key(state)
        whole, moves, refers = plan.effect(touched)
        if refers:
            self._dependants.rekeyed(scene, old_key, touched)
        if not scene.wanted and self._unheard(scene, whole):
            return
        # What the object remembers of its row may be older than the row: only the database says what was there.
        before = NOTHING
        if scene.wanted and (moves or old_key != key):
            before = self._origins.find(scene, old_key, lambda: moving(scene), key_lock=old_key != key) or NOTHING
        if old_key != key:
            self._record(scene, old_key, Touch("destroy", scene.mapper, before))
            self._record(scene, key, Touch("create", scene.mapper))
        else:
            kept = plan.held(state, touched) if plan.holds and scene.tracker.roomy else None
            self._record(scene, key, Touch("update", scene.mapper, before, whole, 0, kept))

    def _delete(self, scene: Scene, state: State) -> None:
        key, session = identity(state), scene.session
        if scene.plan.sourced:
            self._dependants.deleted(scene, key, lambda: session.deleted)
        if self._unheard(scene, frozenset()):
            return
        before: Mapping[str, Any] | None = NOTHING
        if scene.wanted:
            before = self._origins.find(scene, key, lambda: session.deleted, key_lock=True)
        # Somebody else may have deleted the row before: then this DELETE will find nothing, and nothing is to be told.
        if before is not None:
            side = self._dependants.goes_along(scene, state)
            self._record(scene, key, Touch("destroy", scene.mapper, before, side=side))

    def _unheard(self, scene: Scene, touched: frozenset[str] | None) -> bool:
        """Whether nobody can receive a row that is and stays of this class: then it is enough that there was one."""
        plan = scene.plan
        if scene.wanted or plan.doubted or plan.family.shifts(touched):
            return False
        scene.tracker.doubt(plan.family.patterns)
        return True

    def _record(self, scene: Scene, key: Key, touch: Touch) -> None:
        plan = scene.plan
        if plan.doubted:
            # The same row is published as something else too, in words that this mapper does not know.
            scene.tracker.doubt((*plan.family.twins, *(plan.family.leaves if touch.kind != "create" else ())))
        if plan.observed or plan.family.shifts(touch.touched or frozenset()):
            touch.order = next(self._order)
            scene.tracker.record((plan.root, key), touch)
