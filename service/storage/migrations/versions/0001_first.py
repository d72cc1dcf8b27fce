"""The first schema: facts, tiles, segments, labels, assessments and the registry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

I64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account", I64, primary_key=True, autoincrement=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("created_at", I64, nullable=False),
        sa.Column("learned_at", I64, nullable=False),
        sa.Column("content", I64, nullable=False),
        sa.Column("layout", I64, nullable=False),
        sa.Column("profile", sa.LargeBinary(), nullable=False),
        sa.Column("erased_at", I64),
    )
    op.create_index("accounts_by_creation", "accounts", ["created_at"])
    op.create_index(
        "accounts_erased",
        "accounts",
        ["account"],
        sqlite_where=sa.text("erased_at IS NOT NULL"),
        postgresql_where=sa.text("erased_at IS NOT NULL"),
    )
    op.create_table(
        "links",
        sa.Column("account", I64, primary_key=True, autoincrement=False),
        sa.Column("key", I64, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("learned_at", I64, nullable=False),
        sa.Column("verdicts", sa.SmallInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("links_by_key", "links", ["key", "learned_at", "account"])
    op.create_index("links_by_kind", "links", ["account", "kind", sa.text("learned_at DESC"), "key"])
    op.create_index(
        "links_with_verdict",
        "links",
        ["key", "verdicts"],
        sqlite_where=sa.text("verdicts <> 0"),
        postgresql_where=sa.text("verdicts <> 0"),
    )
    op.create_table(
        "link_kinds",
        sa.Column("kind", sa.Integer(), primary_key=True, autoincrement=False),
    )
    op.create_table(
        "names",
        sa.Column("space", sa.Text(), primary_key=True),
        sa.Column("code", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text(), nullable=False),
    )
    op.create_table(
        "layouts",
        sa.Column("layout", I64, primary_key=True, autoincrement=False),
        sa.Column("fields", sa.Text(), nullable=False),
    )
    op.create_table(
        "payments",
        sa.Column("event", I64, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("account", I64, nullable=False),
        sa.Column("happened_at", I64, nullable=False),
        sa.Column("learned_at", I64, nullable=False),
        sa.Column("content", I64, nullable=False),
        sa.Column("layout", I64, nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
    )
    op.create_index("payments_by_account", "payments", ["account", "learned_at"])
    op.create_table(
        "signals",
        sa.Column("event", I64, primary_key=True, autoincrement=False),
        sa.Column("account", I64, nullable=False),
        sa.Column("name", sa.Integer(), nullable=False),
        sa.Column("happened_at", I64, nullable=False),
        sa.Column("learned_at", I64, nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("content", I64, nullable=False),
    )
    op.create_index("signals_by_account", "signals", ["account", "learned_at"])
    op.create_table(
        "link_events",
        sa.Column("event", I64, primary_key=True, autoincrement=False),
        sa.Column("account", I64, nullable=False),
        sa.Column("content", I64, nullable=False),
    )
    op.create_index("link_events_by_account", "link_events", ["account"])
    op.create_table(
        "usage_events",
        sa.Column("event", I64, primary_key=True, autoincrement=False),
        sa.Column("content", I64, nullable=False),
    )
    op.create_table(
        "usage_log",
        sa.Column("part", I64, primary_key=True, autoincrement=False),
        sa.Column("exchanges", sa.Integer(), nullable=False),
        sa.Column("last_learned", I64, nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "usage_tiles",
        sa.Column("account", I64, primary_key=True, autoincrement=False),
        sa.Column("week", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("part", I64, primary_key=True, autoincrement=False),
        sa.Column("last_hour", I64, nullable=False),
        sa.Column("layout", I64, nullable=False),
        sa.Column("tiles", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("usage_tiles_by_hour", "usage_tiles", ["last_hour"])
    op.create_table(
        "segments",
        sa.Column("segment", sa.Text(), primary_key=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("first_at", I64, nullable=False),
        sa.Column("last_at", I64, nullable=False),
        sa.Column("last_learned", I64, nullable=False),
        sa.Column("exchanges", I64, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
    )
    op.create_index("segments_by_time", "segments", ["last_at", "first_at"])
    op.create_table(
        "labels",
        sa.Column("account", I64, primary_key=True, autoincrement=False),
        sa.Column("analyst", sa.Text(), primary_key=True),
        sa.Column("decided_at", I64, primary_key=True, autoincrement=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("learned_at", I64, nullable=False),
        sa.Column("campaign_id", sa.Text()),
        sa.Column("evidence", sa.Text()),
        sa.Column("retracted_at", I64),
        sa.Column("retraction_learned_at", I64),
        sa.Column("retraction_reason", sa.Text()),
    )
    op.create_index("labels_by_campaign", "labels", ["campaign_id"])
    op.create_index("labels_by_decision", "labels", ["decided_at", "account", "analyst"])
    op.create_table(
        "verdict_spans",
        sa.Column("account", I64, primary_key=True, autoincrement=False),
        sa.Column("start_at", I64, primary_key=True, autoincrement=False),
        sa.Column("end_at", I64, nullable=False),
        sa.Column("verdict", sa.SmallInteger(), nullable=False),
    )
    op.create_table(
        "campaigns",
        sa.Column("campaign_id", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("created_at", I64, nullable=False),
    )
    op.create_table(
        "assessments",
        sa.Column("assessment_id", sa.Text(), primary_key=True),
        sa.Column("account", I64, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("assessed_at", I64, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("recommended_limit", sa.Text()),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("feature_fingerprint", sa.Text(), nullable=False),
        sa.Column("features", sa.LargeBinary(), nullable=False),
        sa.Column("links", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("degraded", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text()),
        sa.Column("request_id", sa.Text()),
        sa.Column("request_content", I64, nullable=False),
    )
    op.create_index("assessments_by_account", "assessments", ["account", "assessed_at", "assessment_id"])
    op.create_index(
        "assessments_by_request",
        "assessments",
        ["request_id"],
        unique=True,
        sqlite_where=sa.text("request_id IS NOT NULL"),
        postgresql_where=sa.text("request_id IS NOT NULL"),
    )
    op.create_table(
        "models",
        sa.Column("version", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("created_at", I64, nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("manifest_sha256", sa.Text(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("promoted_at", I64),
        sa.Column("why", sa.Text(), nullable=False),
    )
    op.create_index(
        "one_champion",
        "models",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'champion'"),
        postgresql_where=sa.text("state = 'champion'"),
    )
    op.create_table(
        "model_events",
        sa.Column("number", I64, primary_key=True, autoincrement=False),
        sa.Column("happened_at", I64, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("number", I64, primary_key=True, autoincrement=True),
        sa.Column("happened_at", I64, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("content", sa.Text(), nullable=False),
    )
