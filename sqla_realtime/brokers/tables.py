"""The two tables of a log that is kept in a database: what was committed, and the boundaries between moments of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    event,
)
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import UserDefinedType

# What a library has to know to use the tables; written beside every boundary.
VERSION = 1


class Xid8(UserDefinedType[int]):
    """A transaction's number on PostgreSQL: 64 bits, never used again by the same server."""

    cache_ok = True

    def get_col_spec(self, **options: Any) -> str:
        return "xid8"


# SQLAlchemy does not know it yet, and warns of it whenever somebody looks at a database that has it.
ischema_names.setdefault("xid8", Xid8)


class Writer(FunctionElement[int]):
    """The number of the transaction that writes a row; where the database has no such numbers, one that nobody can guess."""

    inherit_cache = True


class Now(FunctionElement[float]):
    """Seconds since 1970 by the database's clock, not that of the transaction's beginning."""

    inherit_cache = True


@compiles(Writer, "sqlite")
def _salt(element: Writer, compiler: Any, **options: Any) -> str:
    return "(random())"


@compiles(Writer, "postgresql")
def _number(element: Writer, compiler: Any, **options: Any) -> str:
    return "pg_current_xact_id()"


# What is an expression stands in parentheses. RAND() is of 53 bits.
@compiles(Writer, "mysql")
@compiles(Writer, "mariadb")
def _mysql_salt(element: Writer, compiler: Any, **options: Any) -> str:
    return "(floor(rand() * 9007199254740992))"


@compiles(Now, "sqlite")
def _sqlite_now(element: Now, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Now, "postgresql")
def _postgres_now(element: Now, compiler: Any, **options: Any) -> str:
    return "extract(epoch FROM clock_timestamp())"


# Without a time zone: in the hour that comes twice a year UNIX_TIMESTAMP() would not know which.
@compiles(Now, "mysql")
@compiles(Now, "mariadb")
def _mysql_now(element: Now, compiler: Any, **options: Any) -> str:
    return "(timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) / 1000000e0)"


_number_type = BigInteger().with_variant(Integer(), "sqlite")
_xid = BigInteger().with_variant(Xid8(), "postgresql")
_body = Text().with_variant(LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")

metadata = MetaData()

# One row for each transaction, written by it. On SQLite ids must not be used again when the latest rows are deleted; on MySQL
# they are counted in the other table.
log = Table(
    "realtime_log",
    metadata,
    Column("id", _number_type, Identity(), primary_key=True),
    Column("xid", _xid, nullable=False, server_default=Writer()),
    Column("at", Float(53), nullable=False, server_default=Now()),
    Column("body", _body, nullable=False),
    Index("realtime_log_xid", "xid").ddl_if(dialect="postgresql"),
    sqlite_autoincrement=True,
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

# A boundary: what was visible at one moment, and how many commits that are in all (``last``). ``epoch`` names the
# incarnation of the log, ``place`` the server and its history, ``salt`` tells a boundary from one that took its number
# after a crash or a restored backup.
tick = Table(
    "realtime_tick",
    metadata,
    Column("tick", BigInteger, primary_key=True, autoincrement=False),
    Column("version", SmallInteger, nullable=False),
    Column("epoch", String(32), nullable=False),
    Column("place", String(64), nullable=False),
    Column("salt", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("at", Float(53), nullable=False, server_default=Now()),
    Column("lo", _xid, nullable=False),
    Column("hi", _xid, nullable=False),
    Column("xip", Text().with_variant(ARRAY(Xid8()), "postgresql"), nullable=False),
    Index("realtime_tick_last", "last", "tick").ddl_if(dialect="postgresql"),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

# The counter of MySQL, where it is missing; where it is not, it is locked and left as it was. It begins behind what is there,
# under an epoch that nobody has.
COUNTER = (
    "INSERT INTO realtime_tick (tick, version, epoch, place, salt, last, lo, hi, xip) "  # noqa: S608 - our own
    f"SELECT 0, {VERSION}, left(replace(uuid(), '-', ''), 16), '', 0, coalesce(max(id), 0), 0, 0, '' FROM realtime_log "
    "ON DUPLICATE KEY UPDATE last = realtime_tick.last"
)


def tuning(table: Table, dialect: str) -> list[str]:
    """What a table is given besides. Rows come and go all the time: what has been deleted is to be used again soon, and not
    when a fifth of the table has been. A counter is there before two writers could make it at the same time."""
    if dialect in ("mysql", "mariadb"):
        return [COUNTER] if table is tick else []
    often = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000"
    return [f"ALTER TABLE {table.name} SET ({often})"] if dialect == "postgresql" else []


def _tune(target: Table, connection: Connection, **options: Any) -> None:
    for statement in tuning(target, connection.dialect.name):
        connection.exec_driver_sql(statement)


for _table in (log, tick):
    event.listen(_table, "after_create", _tune)
