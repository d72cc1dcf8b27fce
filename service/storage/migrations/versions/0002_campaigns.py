"""Campaigns with members, states, keys and reviews. Those that labels had named get the members that labels name."""

from __future__ import annotations

from bisect import bisect_right

import sqlalchemy as sa
from alembic import op

from service.domain.codes import hash64

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

I64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NEVER = 2**62


def upgrade() -> None:
    connection = op.get_bind()
    named = connection.execute(sa.text("SELECT campaign_id, state, origin, created_at FROM campaigns")).all()
    op.drop_table("campaigns")
    op.create_table(
        "campaigns",
        sa.Column("campaign_id", sa.Text(), primary_key=True),
        sa.Column("campaign", I64, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("score", sa.Double()),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("created_at", I64, nullable=False),
        sa.Column("detected_at", I64),
        sa.Column("updated_at", I64, nullable=False),
        sa.Column("first_signup_at", I64),
        sa.Column("last_signup_at", I64),
        sa.Column("exchanges", I64, nullable=False),
        sa.Column("input_tokens", I64, nullable=False),
        sa.Column("output_tokens", I64, nullable=False),
        sa.Column("revision", I64, nullable=False),
        sa.Column("merged_into", sa.Text()),
        sa.Column("merged_at", I64),
        sa.Column("split_from", sa.Text()),
        sa.Column("evidence", sa.Text()),
    )
    op.create_index("campaigns_by_number", "campaigns", ["campaign"], unique=True)
    op.create_index("campaigns_by_update", "campaigns", ["updated_at", "campaign_id"])
    op.create_index("campaigns_by_merger", "campaigns", ["merged_into"])
    op.create_table(
        "campaign_members",
        sa.Column("account", I64, primary_key=True, autoincrement=False),
        sa.Column("campaign", I64, primary_key=True, autoincrement=False),
        sa.Column("joined_at", I64, primary_key=True, autoincrement=False),
        sa.Column("left_at", I64, nullable=False),
        sa.Column("member_since", I64, nullable=False),
        sa.Column("membership", sa.Double()),
        sa.Column("key_types", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "campaign_members_by_campaign", "campaign_members", ["campaign", "member_since", "account", "left_at"]
    )
    op.create_table(
        "campaign_bars",
        sa.Column("account", I64, primary_key=True, autoincrement=False),
        sa.Column("campaign", I64, primary_key=True, autoincrement=False),
        sa.Column("start_at", I64, primary_key=True, autoincrement=False),
        sa.Column("end_at", I64, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("campaign_bars_by_campaign", "campaign_bars", ["campaign"])
    op.create_table(
        "campaign_states",
        sa.Column("campaign", I64, primary_key=True, autoincrement=False),
        sa.Column("at", I64, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("score", sa.Double()),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("found", sa.Text()),
        sa.Column("verdict", sa.Text()),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "campaign_keys",
        sa.Column("key", I64, primary_key=True, autoincrement=False),
        sa.Column("campaign", I64, primary_key=True, autoincrement=False),
        sa.Column("start_at", I64, primary_key=True, autoincrement=False),
        sa.Column("end_at", I64, nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("private", sa.SmallInteger(), nullable=False),
        sa.Column("family", sa.SmallInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("campaign_keys_by_campaign", "campaign_keys", ["campaign"])
    op.create_table(
        "campaign_reviews",
        sa.Column("review_id", sa.Text(), primary_key=True),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("analyst", sa.Text(), nullable=False),
        sa.Column("second_analyst", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reviewed_at", I64, nullable=False),
        sa.Column("applied_at", I64),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("account_ids", sa.Text(), nullable=False),
        sa.Column("merge_into", sa.Text()),
        sa.Column("request_id", sa.Text()),
        sa.Column("revision_seen", I64, nullable=False),
        sa.Column("about", I64, nullable=False),
        sa.Column("undone_by", sa.Text()),
    )
    op.create_index("campaign_reviews_by_campaign", "campaign_reviews", ["campaign_id", "reviewed_at"])
    op.create_table(
        "review_requests",
        sa.Column("request_id", sa.Text(), primary_key=True),
        sa.Column("content", I64, nullable=False),
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
    )
    op.create_table(
        "campaign_events",
        sa.Column("number", I64, primary_key=True, autoincrement=True),
        sa.Column("happened_at", I64, nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )
    op.create_index("campaign_events_by_campaign", "campaign_events", ["campaign_id", "number"])
    op.create_table(
        "detect_runs",
        sa.Column("run", I64, primary_key=True, autoincrement=True),
        sa.Column("as_of", I64, nullable=False),
        sa.Column("started_at", I64, nullable=False),
        sa.Column("finished_at", I64),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("heartbeat_at", I64, nullable=False),
        sa.Column("report", sa.Text()),
    )
    op.create_table(
        "linking_cache",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("as_of", I64, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
    op.create_index(
        "assessments_by_campaign",
        "assessments",
        ["campaign_id"],
        sqlite_where=sa.text("campaign_id IS NOT NULL"),
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
    )
    _keep(connection, [tuple(row) for row in named])


_PLACED = (
    "SELECT campaign_id, account, min(learned_at) FROM labels WHERE campaign_id IS NOT NULL AND verdict = 'fraud' "
    "AND retraction_learned_at IS NULL AND account NOT IN (SELECT account FROM accounts WHERE erased_at IS NOT NULL) "
    "GROUP BY campaign_id, account"
)
_CAMPAIGNS = (
    "INSERT INTO campaigns (campaign_id, campaign, state, origin, members, created_at, updated_at, exchanges, "
    "input_tokens, output_tokens, revision) "
    "VALUES (:campaign_id, :campaign, :state, :origin, :members, :created_at, :updated_at, 0, 0, 0, 1)"
)
_STATES = "INSERT INTO campaign_states (campaign, at, state, members) VALUES (:campaign, :at, :state, :members)"
_MEMBERS = (
    "INSERT INTO campaign_members (account, campaign, joined_at, left_at, member_since, key_types, placed_by) "
    "VALUES (:account, :campaign, :joined_at, :never, :joined_at, '', 'label')"
)


def _keep(connection: sa.Connection, named: list[tuple[str, str, str, int]]) -> None:
    """Each campaign as labels made it: its members are those that standing fraud labels place there."""
    placed: dict[str, list[tuple[int, int]]] = {campaign_id: [] for campaign_id, *_ in named}
    for campaign_id, account, joined_at in connection.execute(sa.text(_PLACED)):
        placed[campaign_id].append((joined_at, account))
    rows, states, members = [], [], []
    for campaign_id, state, origin, created_at in named:
        campaign, joined = hash64(campaign_id), sorted(placed[campaign_id])
        row = {"campaign_id": campaign_id, "campaign": campaign, "state": state, "origin": origin}
        last = max([created_at, *(at for at, _ in joined)])
        rows.append({**row, "members": len(joined), "created_at": created_at, "updated_at": last})
        for at in sorted({created_at, *(at for at, _ in joined)}):
            count = bisect_right(joined, (at, NEVER * 2))
            states.append({"campaign": campaign, "at": at, "state": state, "members": count})
        members += [
            {"account": account, "campaign": campaign, "joined_at": at, "never": NEVER} for at, account in joined
        ]
    for statement, given in ((_CAMPAIGNS, rows), (_STATES, states), (_MEMBERS, members)):
        if given:
            connection.execute(sa.text(statement), given)
