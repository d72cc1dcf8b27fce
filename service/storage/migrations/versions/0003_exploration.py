"""Assessments say whether chance let an account through, and how likely that was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("assessments", sa.Column("explored_from", sa.Text()))
    op.add_column("assessments", sa.Column("propensity", sa.Double()))
    op.create_index(
        "assessments_by_chance",
        "assessments",
        ["account"],
        sqlite_where=sa.text("propensity IS NOT NULL"),
        postgresql_where=sa.text("propensity IS NOT NULL"),
    )
