"""Faults to plant into the capture code, each a way in which it could lie: a name, how to plant it, and a tree that shows it.

A seed is that of a tree which failed with the fault in place; where the generator has changed since, others are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import ClauseElement, inspect
from sqlalchemy.orm import Session

from sqla_realtime.brokers import memory
from sqla_realtime.capture import telling, tracker
from sqla_realtime.capture.cascades import Cascades
from sqla_realtime.capture.collector import Collector
from sqla_realtime.capture.dml import Statement
from sqla_realtime.capture.flush import FlushWatcher
from sqla_realtime.capture.hooks import Hooks
from sqla_realtime.capture.ledger import Ledger, Ledgers
from sqla_realtime.capture.origins import RowOrigins
from sqla_realtime.capture.plan import Plan
from sqla_realtime.capture.statements import StatementWatcher
from sqla_realtime.capture.tracker import Touch, Tracker
from sqla_realtime.schema import predicate, publication
from sqla_realtime.schema.reader import Reader

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


@dataclass(frozen=True)
class Mutant:
    """``scene`` names a scene of test_mutants that must catch it, where no tree of one thread can."""

    name: str
    plant: Plant
    seed: int = 0
    scene: str | None = None


MUTANTS: list[Mutant] = []


def mutant(seed: int = 0, scene: str | None = None) -> Callable[[Plant], Plant]:
    """Register a fault under its function's name."""

    def register(plant: Plant) -> Plant:
        MUTANTS.append(Mutant(plant.__name__.replace("_", " "), plant, seed, scene))
        return plant

    return register


def nothing(*arguments: Any, **named: Any) -> None:
    """Does not do it."""


@mutant(2)
def a_released_savepoint_is_not_merged(patch: Patch) -> None:
    patch.setattr(Tracker, "_merge", nothing)


@mutant(22)
def rollback_to_a_savepoint_keeps_what_came_after(patch: Patch) -> None:
    patch.setattr(Tracker, "rollback", nothing)


@mutant(201)
def rollback_to_an_unknown_savepoint_keeps_everything(patch: Patch) -> None:
    rollback = Tracker.rollback

    def keep(self: Tracker, name: str) -> None:
        if self._index(name) is not None:
            rollback(self, name)

    patch.setattr(Tracker, "rollback", keep)


@mutant(scene="a Connection that is used again")
def touches_are_kept_after_a_rollback(patch: Patch) -> None:
    patch.setattr(Ledger, "of", lambda self, root: self.ticket is None)


def composed(patch: Patch, change: Callable[[Touch, Touch, Touch | None], Touch | None]) -> None:
    compose = tracker.compose

    def other(earlier: Touch | None, later: Touch) -> Touch | None:
        whole = compose(earlier, later)
        return whole if earlier is None else change(earlier, later, whole)

    patch.setattr(tracker, "compose", other)


@mutant(16)
def a_row_that_came_and_went_is_told(patch: Patch) -> None:
    composed(patch, lambda earlier, later, whole: later if whole is None else whole)


@mutant(2)
def what_a_later_flush_found_wins(patch: Patch) -> None:
    composed(patch, lambda earlier, later, whole: whole and replace(whole, before={**earlier.before, **later.before}))


@mutant(36)
def a_row_deleted_and_made_again_is_new(patch: Patch) -> None:
    composed(patch, lambda earlier, later, whole: later if earlier.kind == "destroy" else whole)


@mutant(7)
def a_new_key_is_told_as_an_update(patch: Patch) -> None:
    record = FlushWatcher._record

    def update_only(self: FlushWatcher, scene: Any, key: Any, touch: Touch) -> None:
        renamed = scene.session.info.pop("renamed", None)
        if touch.kind == "destroy" and len(touch.before) == len(scene.family.decisive) and scene.session.info.get("rekey"):
            scene.session.info["renamed"] = touch.before
            return
        record(self, scene, key, touch if renamed is None else Touch("update", touch.subject, renamed))

    update = FlushWatcher._update

    def updating(self: FlushWatcher, scene: Any, state: Any) -> None:
        scene.session.info["rekey"] = True
        try:
            update(self, scene, state)
        finally:
            scene.session.info.clear()

    patch.setattr(FlushWatcher, "_record", update_only)
    patch.setattr(FlushWatcher, "_update", updating)


@mutant(12)
def a_row_switch_is_missed(patch: Patch) -> None:
    patch.setattr(FlushWatcher, "_after_update", nothing)


@mutant(7)
def the_channel_that_a_stale_object_remembers_is_left(patch: Patch) -> None:
    def remembered(self: RowOrigins, scene: Any, key: Any, others: Any, **named: Any) -> dict[str, Any]:
        target = scene.session.identity_map[scene.mapper.identity_key_from_primary_key(key)]
        state = inspect(target)
        return {name: state.committed_state.get(name, state.dict.get(name)) for name in scene.family.decisive}

    patch.setattr(RowOrigins, "find", remembered)


@mutant(scene="an object whose row is gone")
def a_stale_delete_that_finds_no_row_is_told(patch: Patch) -> None:
    origin = RowOrigins.find
    patch.setattr(RowOrigins, "find", lambda *args, **named: origin(*args, **named) or {})


@mutant(scene="an object that is older than its row")
def what_an_object_remembers_is_what_was_there(patch: Patch) -> None:
    record = FlushWatcher._record

    def remembering(self: FlushWatcher, scene: Any, key: Any, touch: Touch) -> None:
        target = scene.session.identity_map.get(scene.mapper.identity_key_from_primary_key(tuple(key)))
        if target is not None and touch.kind == "update":
            memory = inspect(target).committed_state
            known = {name: memory[name] for name in touch.touched or () if type(memory.get(name)) in (int, str)}
            touch = replace(touch, before={**known, **touch.before})
        record(self, scene, key, touch)

    patch.setattr(FlushWatcher, "_record", remembering)


@mutant(2)
def attributes_are_sent_instead_of_the_stored_row(patch: Patch) -> None:
    held: dict[Any, dict[str, Any]] = {}
    note, read = FlushWatcher._note, Collector._read

    def noting(self: FlushWatcher, note_: Any, mapper: Any, connection: Any, state: Any) -> None:
        held[mapper, tuple(mapper.primary_key_from_instance(state.obj()))] = {
            name: value for name, value in state.dict.items() if type(value) in (int, str)
        }
        note(self, note_, mapper, connection, state)

    def reading(self: Collector, connection: Any, ledger: Any, mapper: Any, *rest: Any) -> Any:
        images = read(self, connection, ledger, mapper, *rest)
        for image in (images or {}).values():
            known = held.pop((mapper, image.key), {})
            image.values.update({name: value for name, value in known.items() if name in image.values})
        return images

    patch.setattr(FlushWatcher, "_note", noting)
    patch.setattr(Collector, "_read", reading)


@mutant(118)
def an_orphan_is_missed(patch: Patch) -> None:
    delete = FlushWatcher._delete

    def asked_for(self: FlushWatcher, scene: Any, state: Any) -> None:
        if state.obj() in scene.session.deleted:
            delete(self, scene, state)

    patch.setattr(FlushWatcher, "_delete", asked_for)


@mutant(36)
def an_update_by_an_expression_is_missed(patch: Patch) -> None:
    touched = Plan.touched

    def plain(self: Plan, state: Any) -> frozenset[str]:
        return frozenset(name for name in touched(self, state) if not isinstance(state.dict.get(name), ClauseElement))

    patch.setattr(Plan, "touched", plain)


@mutant(5)
def on_delete_is_not_followed(patch: Patch) -> None:
    patch.setattr(Cascades, "deleted", nothing)


@mutant(23)
def on_delete_is_followed_one_table_far(patch: Patch) -> None:
    walk = Cascades._walk

    def once(self: Cascades, connection: Any, ledger: Any, rows: Any, known: Any) -> None:
        if not known:
            walk(self, connection, ledger, rows, {rows.table: set()})

    patch.setattr(Cascades, "_walk", once)


@mutant(5)
def set_null_is_not_followed(patch: Patch) -> None:
    touch = Cascades._touch

    def cascading(self: Cascades, connection: Any, ledger: Any, reference: Any, *rest: Any, **named: Any) -> None:
        if reference.cascades:
            touch(self, connection, ledger, reference, *rest, **named)

    patch.setattr(Cascades, "_touch", cascading)


@mutant(7)
def on_update_is_not_followed(patch: Patch) -> None:
    patch.setattr(Cascades, "rekeyed", nothing)


@mutant(2)
def the_rows_of_a_bulk_update_are_forgotten(patch: Patch) -> None:
    touch = StatementWatcher._touch

    def inserts_only(self: StatementWatcher, statement: Any, mapper: Any, key: Any, touched: Touch) -> None:
        if touched.kind == "create":
            touch(self, statement, mapper, key, touched)

    patch.setattr(StatementWatcher, "_touch", inserts_only)


@mutant(2)
def a_statement_that_inserts_is_not_followed(patch: Patch) -> None:
    patch.setattr(StatementWatcher, "_insert", lambda self, statement, mapper: True)


@mutant(63)
def an_upsert_is_taken_for_an_insert(patch: Patch) -> None:
    patch.setattr(Statement, "may_meet_rows", lambda self: False)


@mutant(691)
def a_bulk_update_of_keys_is_followed_like_any_other(patch: Patch) -> None:
    patch.setattr(Statement, "sets_key", lambda self: False)


@mutant(15)
def a_followed_where_is_read_with_other_values(patch: Patch) -> None:
    def plain(self: Statement) -> Iterator[Any]:
        for _ in self.parameters:
            yield self.dml.whereclause

    patch.setattr(Statement, "conditions", plain)


@mutant(80)
def raw_sql_is_not_noticed(patch: Patch) -> None:
    patch.setattr(StatementWatcher, "_mentioned", lambda self, statement: [])


@mutant(12)
def what_could_not_be_followed_is_no_doubt(patch: Patch) -> None:
    patch.setattr(Collector, "_doubt", lambda self, mappers: set())


@mutant(7)
def the_columns_of_subclasses_are_not_read(patch: Patch) -> None:
    patch.setattr(Reader, "_complete", nothing)


@mutant(20)
def columns_that_the_database_computes_are_taken_for_unchanged(patch: Patch) -> None:
    patch.setattr(publication, "_is_volatile", lambda mapper, column: False)


def changed(patch: Patch, edit: Callable[[Any], Any]) -> None:
    changes = telling._changes
    patch.setattr(telling, "_changes", lambda *args: [each for each in map(edit, changes(*args)) if each is not None])


@mutant(2)
def a_row_that_moves_does_not_leave(patch: Patch) -> None:
    changed(patch, lambda change: None if change.cause == "leave" else change)


@mutant(2)
def a_leave_shows_the_new_record(patch: Patch) -> None:
    changed(patch, lambda change: change._replace(record=b"{}") if change.cause == "leave" else change)


@mutant(2)
def a_destroy_is_called_a_leave(patch: Patch) -> None:
    changed(patch, lambda change: change._replace(cause="leave") if change.type == "destroy" else change)


@mutant(2)
def where_sees_the_new_row_alone(patch: Patch) -> None:
    old = telling._old_channels

    def new(view: Any, row: Any) -> Any:
        known = old(view, row)
        return known if row.image is None or view._predicate is None or known is None else view.channels(row.image.values)

    patch.setattr(telling, "_old_channels", new)


@mutant(4)
def null_is_false_under_not(patch: Patch) -> None:
    patch.setattr(predicate, "_not", lambda part: lambda values: not part(values))


def told_too_early(patch: Patch, when: Callable[[Session], bool]) -> None:
    after = Hooks._after_commit

    def early(self: Hooks, session: Session) -> None:
        state = self._sessions.get(session)
        for ledger in [] if state is None or not when(session) else list(state.ledgers):
            if ledger.ticket is None:
                connection = next(iter(state.connections))
                self._ledgers._seal(connection, ledger)
                if ledger.commit:
                    self._ledgers._taps.begin(ledger.commit).finish(committed=True)
        after(self, session)

    patch.setattr(Hooks, "_after_commit", early)


@mutant(5)
def a_released_savepoint_is_a_commit(patch: Patch) -> None:
    told_too_early(patch, lambda session: session.in_nested_transaction())


@mutant(2)
def a_session_that_leaves_an_outer_transaction_has_committed(patch: Patch) -> None:
    told_too_early(patch, lambda session: not session.in_nested_transaction())


@mutant(scene="a COMMIT that fails")
def a_commit_that_failed_is_told(patch: Patch) -> None:
    def believe(self: Ledgers, context: Any) -> None:
        ledger = self._ledgers.get(id(context.connection))
        if ledger is not None and ledger.ticket is not None:
            ledger.ticket.finish(committed=True)

    patch.setattr(Ledgers, "handle_error", believe)


@mutant(scene="rows that come between")
def more_rows_changed_than_were_found_and_nobody_wonders(patch: Patch) -> None:
    patch.setattr(StatementWatcher, "after", nothing)


@mutant(scene="two COMMITs that end in the other order")
def commits_are_told_in_the_order_in_which_they_end(patch: Patch) -> None:
    def settle(self: memory.MemoryBroker, place: Any, commit: Any) -> None:
        with self._lock:
            self._line.remove(place)
            if commit is not None:
                place.commit = commit
                self._enter([place])

    patch.setattr(memory.MemoryBroker, "_settle", settle)
