"""Assessments of a job over most accounts are kept thousands to a row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

I64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "assessment_blocks",
        sa.Column("block", I64, primary_key=True, autoincrement=False),
        sa.Column("shelf", I64, nullable=False),
        sa.Column("first_account", I64, nullable=False),
        sa.Column("last_account", I64, nullable=False),
        sa.Column("assessed_at", I64, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("feature_fingerprint", sa.Text(), nullable=False),
        sa.Column("assessments", sa.Integer(), nullable=False),
        sa.Column("erased", sa.Integer(), nullable=False),
        sa.Column("chances", sa.Integer(), nullable=False),
        sa.Column("answers", sa.LargeBinary(), nullable=False),
        sa.Column("features", sa.LargeBinary(), nullable=False),
    )
    op.create_index("assessment_blocks_by_shelf", "assessment_blocks", ["shelf", "assessed_at"])
    op.create_index(
        "assessment_blocks_by_moment", "assessment_blocks", ["assessed_at", "first_account", "last_account"]
    )
    op.create_table(
        "block_campaigns",
        sa.Column("campaign_id", sa.Text(), primary_key=True),
        sa.Column("block", I64, primary_key=True, autoincrement=False),
        sa.Column("changed", sa.Integer(), nullable=False),
    )
