"""The tables of the log."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = ("sqla_realtime",)
depends_on = None


def upgrade() -> None:
    op.create_realtime_log()


def downgrade() -> None:
    op.drop_realtime_log()
