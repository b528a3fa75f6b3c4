"""A database with live channels and a client of all of them: after every COMMIT the client must hold what the tables hold."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from sqlite3 import OperationalError
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select, text
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.capture.hooks import Hooks
from sqla_realtime.capture.targets import resolve
from sqla_realtime.commit import Change, Commit
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Reader
from sqla_realtime.schema.registry import Registry
from tests.properties.models import FAMILIES, MODELS, START, Base, publications

Row = dict[str, Any]
Rows = dict[tuple[str, str], Row]
Channels = dict[str, Rows]


class Failure(AssertionError):
    """What the client holds, or was told, is not what happened."""


class View:
    """One publication as the test understands it: its SELECT over all channels, by SQLAlchemy and Pydantic alone."""

    def __init__(self, publication: Publication, clause: Any, connection: Connection) -> None:
        model = publication.model
        mapper = model.__mapper__
        self.publication = publication
        self.pattern = publication.pattern.text
        self.places = publication.pattern.placeholders
        self.names = list(publication.fields.schema.model_fields)
        self.keys = [column.key for column in mapper.primary_key]
        names = dict.fromkeys([*self.keys, *self.places, *self.names])
        kind = mapper.polymorphic_on
        columns = [getattr(model, name).label(name) for name in names]
        statement = select(*columns, *([] if kind is None else [kind.label("kind_")]))
        if clause is not None:
            statement = statement.where(clause)
        self.classes = {key: each.class_.__name__ for key, each in mapper.polymorphic_map.items()}
        self.sql = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
        self.columns = [*names, "kind_"]

    def read(self, connection: Connection) -> Channels:
        """The rows of every channel that has any."""
        channels: Channels = defaultdict(dict)
        for row in connection.exec_driver_sql(self.sql):
            values = dict(zip(self.columns, row, strict=False))
            if any(values[name] is None for name in self.places):
                continue
            channel = self.pattern.format(**values)
            cls = self.classes.get(values.get("kind_"), self.publication.model.__name__)
            record = self.publication.fields.schema.model_validate(values).model_dump(mode="json")
            channels[channel][cls, ",".join(str(values[key]) for key in self.keys)] = record
        return dict(channels)


class World:
    """One database, its capture, and one client that has joined every channel of every pattern that is ``wanted``."""

    def __init__(self, engine: Engine, *, statement_rows: int = 1000) -> None:
        self.engine = engine
        self.limited = statement_rows < 1000
        self.plain = create_engine(engine.url)
        self.connection = self.plain.connect().execution_options(isolation_level="AUTOCOMMIT")
        Base.metadata.create_all(engine)
        self.postgres = engine.dialect.name == "postgresql"
        if self.postgres:
            for table in ("team", "project", "page", "comment", "mark", "node", "animal", "item"):
                self.connection.execute(text(f"ALTER SEQUENCE {table}_id_seq RESTART 100000"))
        self.registry = Registry()
        self.broker = MemoryBroker()
        self.hooks = Hooks(self.registry, self.broker, self.wants, statement_rows=statement_rows)
        self.views: list[View] = []
        for publication in publications():
            self.registry.publish(publication)
            self.hooks.watch(publication)
            clause = publication._predicate.clause if publication._predicate else None
            self.views.append(View(publication, clause, self.connection))
        self.patterns = [view.pattern for view in self.views]
        self.sessions: sessionmaker[Session] = sessionmaker(engine)
        self.hooks.enable(resolve(self.sessions))
        event.listen(engine, "commit", self._committing)
        self.loop = asyncio.new_event_loop()
        self.seen = self.broker._ring.head
        self.logged: list[str] = []
        self.log = _Log(self.logged)
        logging.getLogger("sqla_realtime").addHandler(self.log)
        self.counts: Counter[str] = Counter()
        self.start = self._start()
        if not self.postgres:
            self.connection.exec_driver_sql("PRAGMA synchronous=OFF")
        self.reset()

    def _start(self) -> str:
        """One script that puts the rows of the start in place."""
        deletes: list[Any] = [table.delete() for table in reversed(Base.metadata.sorted_tables)]
        inserts = [model.__table__.insert().values(row) for model, rows in START for row in rows]  # type: ignore[attr-defined]
        compiled = [each.compile(self.connection, compile_kwargs={"literal_binds": True}) for each in [*deletes, *inserts]]
        return ";\n".join(["BEGIN", *map(str, compiled), "COMMIT;"])

    def close(self) -> None:
        logging.getLogger("sqla_realtime").removeHandler(self.log)
        self.connection.close()
        self.plain.dispose()
        self.loop.close()

    def reset(self) -> None:
        """The rows that every tree starts from; everything is wanted."""
        cursor: Any = self.connection.connection.cursor()
        try:
            (cursor.execute if self.postgres else cursor.executescript)(self.start)
        except OperationalError:
            # A COMMIT that SQLite refused leaves its transaction open; the connection goes back to the pool like that.
            gc.collect()
            self.engine.dispose()
            cursor.executescript(self.start)
        cursor.close()
        self.wanted = set(self.patterns)
        self.commits = 0
        self.key = 100
        self.client = self.truth()
        self.logged.clear()
        self.read()

    def wants(self, pattern: str) -> bool:
        return pattern in self.wanted

    def fresh(self) -> int:
        """A key that no row of this tree has had."""
        self.key += 1
        return self.key

    def toggle(self, pattern: str) -> None:
        """The only reader of a pattern leaves, or one comes."""
        if pattern in self.wanted:
            self.wanted.remove(pattern)
            self.client[pattern] = {}
        else:
            self.wanted.add(pattern)
            self.client[pattern] = self.truth()[pattern]

    def truth(self) -> dict[str, Channels]:
        """What a client of every channel should hold, by pattern."""
        return {view.pattern: view.read(self.connection) if view.pattern in self.wanted else {} for view in self.views}

    def _committing(self, connection: Connection) -> None:
        self.commits += 1

    def read(self) -> list[Commit]:
        """The commits that entered the log since the last call."""
        self.loop.run_until_complete(self.broker.head())
        entries = self.broker._ring.after(self.seen)
        self.seen = self.broker._ring.head
        return [entry.commit for entry in entries]

    def check(self, *, committing: bool, failed: bool, permitted: Iterable[str], exact: bool) -> None:
        """One step was made. ``committing``: a COMMIT was sent. ``permitted``: the patterns that may be in doubt by now.
        ``exact``: no row may be told that has not changed."""
        if self.logged and not failed:
            raise Failure(f"logged: {self.logged}")
        self.logged.clear()
        if not committing:
            if self.broker._ring.head != self.seen or self.broker._line:
                raise Failure(f"told without a COMMIT: {self.read()}")
            return
        commits = self.read()
        if self.broker._line:
            raise Failure("a place in line was left open")
        if failed and commits:
            raise Failure(f"told after a COMMIT that failed: {commits}")
        if len(commits) > 1:
            raise Failure(f"one COMMIT was told {len(commits)} times: {commits}")
        truth = self.truth()
        self.counts["transactions"] += 1
        for commit in commits:
            if not commit:
                raise Failure("an empty commit was told")
            self.fold(commit, truth, set(permitted), exact)
        if self.client != truth:
            raise Failure("\n".join(["the client holds other rows than the table:", *_differences(self.client, truth)]))

    def fold(self, commit: Commit, truth: dict[str, Channels], permitted: set[str], exact: bool) -> None:
        """Apply a commit as PROTOCOL.md says, complaining of what it promises not to happen."""
        pattern_of = {name: self._pattern(name) for name in {*commit.invalidated, *(c.channel for c in commit.changes)}}
        doubt = {name: pattern_of[name] for name in commit.invalidated}
        stray = {text for text in doubt.values() if text in self.wanted} - permitted
        if stray:
            raise Failure(f"in doubt without a reason: {sorted(stray)}")
        self.counts["invalidations"] += bool(doubt)
        told = Counter((change.channel, change.cls, change.id) for change in commit.changes)
        for change in commit.changes:
            pattern = pattern_of[change.channel]
            if pattern in doubt or change.channel in doubt or pattern not in self.wanted:
                continue
            if told[change.channel, change.cls, change.id] > 1:
                raise Failure(f"told twice in one commit: {change}")
            self.counts["changes"] += 1
            self._apply(change, self.client[pattern].setdefault(change.channel, {}), truth, exact)
            if not self.client[pattern][change.channel]:
                del self.client[pattern][change.channel]
        for name, pattern in doubt.items():
            if name == pattern:
                self.client[pattern] = truth[pattern]
            elif name in truth[pattern]:
                self.client[pattern][name] = truth[pattern][name]
            else:
                self.client[pattern].pop(name, None)

    def _apply(self, change: Change, rows: Rows, truth: dict[str, Channels], exact: bool) -> None:
        key = change.cls, change.id
        record = None if change.record is None else json.loads(change.record)
        if change.type == "destroy":
            if record is not None or change.changed:
                raise Failure(f"a destroy that says more than its key: {change}")
            if key not in rows:
                raise Failure(f"a destroy of what the channel did not have: {change}")
            if change.cause not in (None, "leave") or self._stored(*key) != (change.cause == "leave"):
                raise Failure(f"leave is for rows that still exist, and for them alone: {change}")
            del rows[key]
            return
        if record is None:
            raise Failure(f"no record: {change}")
        if change.type == "create":
            if key in rows:
                raise Failure(f"a create of what the channel had: {change}")
        else:
            if key not in rows:
                raise Failure(f"an update of what the channel did not have: {change}")
            differ = {name for name, value in record.items() if rows[key].get(name) != value}
            if not differ <= set(change.changed) or not change.changed or not set(change.changed) <= set(record):
                raise Failure(f"{sorted(differ)} differ, and not {change.changed}: {change}")
            if not differ:
                self.counts["idle"] += 1
            # What the database computes is not always known beforehand.
            if exact and not set(change.changed) <= {*differ, "loud", "edits", "version"}:
                raise Failure(f"only {sorted(differ)} differ, and not {change.changed}: {change}")
        rows[key] = record

    def _stored(self, cls: str, number: str) -> bool:
        """Whether a row of this class still exists, in a channel or out of all."""
        model = next(each for each in MODELS if each.__name__ == cls)
        kind = model.__mapper__.polymorphic_on
        base = model.__mapper__.local_table if kind is None else kind.table
        terms = [column == int(part) for column, part in zip(base.primary_key, number.split(","), strict=True)]
        row = self.connection.execute(select(*base.primary_key, *(() if kind is None else (kind,))).where(*terms)).first()
        return row is not None and (kind is None or row[-1] == model.__mapper__.polymorphic_identity)

    def _pattern(self, name: str) -> str:
        if name in self.patterns:
            return name
        channel = self.registry.channel(name)
        if channel is None:
            raise Failure(f"told of a channel that nobody can join: {name}")
        return channel.pattern.text

    def snapshots(self) -> None:
        """The rows that a subscription starts with, channel by channel, are those that the client holds."""
        truth = self.truth()
        for view in self.views:
            reader = Reader(view.publication.mapper, [view.publication])
            for name, rows in truth[view.pattern].items():
                channel = self.registry.channel(name)
                assert channel is not None
                images = reader.where(self.connection, view.publication, channel.values, 1000)
                found = {(view.publication.cls(image.mapper), image.id) for image in images}
                if found != set(rows):
                    raise Failure(f"the snapshot of {name} has {found}, its rows are {set(rows)}")


class _Log(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self._lines.append(f"{record.getMessage()} {cause!r}"[:1000])


def family_of(model: type[Base]) -> set[str]:
    """The patterns that a change of this model's rows can reach."""
    family = next(each for each in FAMILIES if model in each)
    return {each.pattern.text for each in _ALL if each.model in family}


_ALL = publications()


def _differences(held: dict[str, Channels], stored: dict[str, Channels]) -> Iterable[str]:
    for pattern in stored:
        for channel in sorted({*held[pattern], *stored[pattern]}):
            mine, theirs = held[pattern].get(channel, {}), stored[pattern].get(channel, {})
            for key in sorted({*mine, *theirs}):
                if mine.get(key) != theirs.get(key):
                    yield f"  {channel} {key}: holds {mine.get(key)}, stored is {theirs.get(key)}"
