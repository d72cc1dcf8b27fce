"""What a challenger says beside the champion, and at most one challenger that does."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

I64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "shadow_assessments",
        sa.Column("assessment_id", sa.Text(), primary_key=True),
        sa.Column("model_version", sa.Text(), primary_key=True),
        sa.Column("account", I64, nullable=False),
        sa.Column("assessed_at", I64, nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Text(), nullable=False),
    )
    op.create_index("shadow_assessments_by_model", "shadow_assessments", ["model_version", "account"])
    op.create_index("shadow_assessments_by_account", "shadow_assessments", ["account"])
    op.create_index(
        "one_shadow",
        "models",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'shadow'"),
        postgresql_where=sa.text("state = 'shadow'"),
    )
