"""Alembic operations for the log's tables: import this in ``env.py``, and autogenerate finds out by itself.

``op.create_realtime_log()``, ``op.watch_table("page")`` and their reverses may be written by hand as well. The tables of the
log need not be in ``target_metadata``; where they are in the database, autogenerate does not propose to drop them. Tables of
``target_metadata`` that are declared with ``realtime.watch()`` are compared with what has triggers in the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import DropTableOp, ModifyTableOps, UpgradeOps
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Connection, inspect
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from sqla_realtime.brokers.tables import metadata, tuning
from sqla_realtime.brokers.triggers import DROP, Watched, attach, declared, detach, missing, watched

_NAMES = frozenset(metadata.tables)


@Operations.register_operation("create_realtime_log")
class CreateRealtimeLog(MigrateOperation):
    """Make the tables of the log."""

    @classmethod
    def create_realtime_log(cls, operations: Operations) -> None:
        """Make the tables of the log; its reverse drops them."""
        operations.invoke(cls())

    def reverse(self) -> DropRealtimeLog:
        """What undoes it."""
        return DropRealtimeLog()


@Operations.register_operation("drop_realtime_log")
class DropRealtimeLog(MigrateOperation):
    """Drop the tables of the log. Browsers that come later load their rows anew."""

    @classmethod
    def drop_realtime_log(cls, operations: Operations) -> None:
        """Drop the tables of the log; its reverse makes them."""
        operations.invoke(cls())

    def reverse(self) -> CreateRealtimeLog:
        """What undoes it."""
        return CreateRealtimeLog()


@Operations.register_operation("watch_table")
class WatchTable(MigrateOperation):
    """Put the triggers on a table that write what anybody does to it into the log. PostgreSQL only."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched

    @classmethod
    def watch_table(cls, operations: Operations, name: str, *, schema: str | None = None, without: Sequence[str] = ()) -> None:
        """Watch a table, but for some columns; its reverse is ``unwatch_table``."""
        operations.invoke(cls(Watched(name, schema, tuple(without))))

    def reverse(self) -> UnwatchTable:
        """What undoes it."""
        return UnwatchTable(self.watched)


@Operations.register_operation("unwatch_table")
class UnwatchTable(MigrateOperation):
    """Take the triggers off a table: what is not written through an enabled Session is not seen from then on."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched

    @classmethod
    def unwatch_table(
        cls, operations: Operations, name: str, *, schema: str | None = None, without: Sequence[str] = ()
    ) -> None:
        """No longer watch a table; its reverse is ``watch_table``, for which ``without`` is kept."""
        operations.invoke(cls(Watched(name, schema, tuple(without))))

    def reverse(self) -> WatchTable:
        """What undoes it."""
        return WatchTable(self.watched)


@Operations.implementation_for(WatchTable)
def _watch(operations: Operations, operation: WatchTable) -> None:
    for statement in attach(operation.watched):
        operations.execute(statement)


@Operations.implementation_for(UnwatchTable)
def _unwatch(operations: Operations, operation: UnwatchTable) -> None:
    for statement in detach(operation.watched):
        operations.execute(statement)


@Operations.implementation_for(CreateRealtimeLog)
def _create(operations: Operations, operation: CreateRealtimeLog) -> None:
    name = operations.get_context().dialect.name
    for table in metadata.sorted_tables:
        operations.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda each: str(each.name)) if name == "postgresql" else ():
            operations.execute(CreateIndex(index))
        for statement in tuning(table, name):
            operations.execute(statement)


@Operations.implementation_for(DropRealtimeLog)
def _drop(operations: Operations, operation: DropRealtimeLog) -> None:
    if operations.get_context().dialect.name == "postgresql":
        operations.execute(DROP)
    for table in reversed(metadata.sorted_tables):
        operations.execute(DropTable(table))


@renderers.dispatch_for(CreateRealtimeLog)
def _render_create(context: AutogenContext, operation: CreateRealtimeLog) -> str:
    context.imports.add("import sqla_realtime.integrations.alembic")
    return "op.create_realtime_log()"


@renderers.dispatch_for(DropRealtimeLog)
def _render_drop(context: AutogenContext, operation: DropRealtimeLog) -> str:
    context.imports.add("import sqla_realtime.integrations.alembic")
    return "op.drop_realtime_log()"


@renderers.dispatch_for(WatchTable)
def _render_watch(context: AutogenContext, operation: WatchTable) -> str:
    return _rendered(context, "watch_table", operation.watched)


@renderers.dispatch_for(UnwatchTable)
def _render_unwatch(context: AutogenContext, operation: UnwatchTable) -> str:
    return _rendered(context, "unwatch_table", operation.watched)


def _rendered(context: AutogenContext, name: str, watched: Watched) -> str:
    context.imports.add("import sqla_realtime.integrations.alembic")
    named = {"schema": watched.schema, "without": list(watched.without)}
    given = [repr(watched.name), *(f"{key}={value!r}" for key, value in named.items() if value)]
    return f"op.{name}({', '.join(given)})"


# After the comparison of tables, or what has been found missing would come before what it needs.
@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, upgrade: UpgradeOps, schemas: object) -> PriorityDispatchResult:
    upgrade.ops[:] = [each for each in upgrade.ops if not _is_ours(each)]
    connection = context.connection
    if connection is not None and not set(inspect(connection).get_table_names()) >= _NAMES:
        upgrade.ops.append(CreateRealtimeLog())
    if connection is not None and connection.dialect.name == "postgresql":
        upgrade.ops += _watches(context, connection)
    return PriorityDispatchResult.CONTINUE


def _watches(context: AutogenContext, connection: Connection) -> Iterator[MigrateOperation]:
    """What makes the triggers of a database those that are declared. Only tables that are in its metadata are compared."""
    tables = context.sorted_tables
    yield from (WatchTable(each) for each in missing(connection, declared(tables)))
    there, default = watched(connection), connection.dialect.default_schema_name
    for table in tables:
        if (table.schema or default, table.name) in there and not declared([table]):
            yield UnwatchTable(Watched(table.name, table.schema))


def _is_ours(operation: MigrateOperation) -> bool:
    name = operation.table_name if isinstance(operation, DropTableOp | ModifyTableOps) else None
    return name in _NAMES
