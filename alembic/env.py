"""Runs the migrations of the log: ``alembic -x url=postgresql+psycopg://... upgrade head``."""

from __future__ import annotations

from sqlalchemy import create_engine

import sqla_realtime.integrations.alembic  # noqa: F401 - brings op.create_realtime_log()
from alembic import context
from sqla_realtime.brokers.tables import metadata

url = context.get_x_argument(as_dictionary=True).get("url") or context.config.get_main_option("sqlalchemy.url")
if not url:
    raise SystemExit("Say which database: alembic -x url=... upgrade head")

if context.is_offline_mode():
    context.configure(url=url, target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url).connect() as connection:
        context.configure(connection=connection, target_metadata=metadata)
        with context.begin_transaction():
            context.run_migrations()
