"""Alembic operations for the log's tables: import this in ``env.py``, and autogenerate finds out by itself.

``op.create_realtime_log()`` and ``op.drop_realtime_log()`` may be written by hand as well. The tables need not be in
``target_metadata``; where they are in the database, autogenerate does not propose to drop them.
"""

from __future__ import annotations

from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import DropTableOp, ModifyTableOps, UpgradeOps
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import inspect
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from sqla_realtime.brokers.tables import metadata, tuning

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


# After the comparison of tables, or what has been found missing would come before what it needs.
@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, upgrade: UpgradeOps, schemas: object) -> PriorityDispatchResult:
    upgrade.ops[:] = [each for each in upgrade.ops if not _is_ours(each)]
    connection = context.connection
    if connection is not None and not set(inspect(connection).get_table_names()) >= _NAMES:
        upgrade.ops.append(CreateRealtimeLog())
    return PriorityDispatchResult.CONTINUE


def _is_ours(operation: MigrateOperation) -> bool:
    name = operation.table_name if isinstance(operation, DropTableOp | ModifyTableOps) else None
    return name in _NAMES
