"""The tables as they are now. How a database gets here is ``migrations/``; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

I64 = BigInteger().with_variant(Integer(), "sqlite")  # SQLite clusters a table by an INTEGER key, not by a BIGINT one

metadata = MetaData()

accounts = Table(
    "accounts",
    metadata,
    Column("account", I64, primary_key=True, autoincrement=False),
    Column("account_id", Text, nullable=False),
    Column("created_at", I64, nullable=False),
    Column("learned_at", I64, nullable=False),
    Column("content", I64, nullable=False),
    Column("layout", I64, nullable=False),
    Column("profile", LargeBinary, nullable=False),
    Column("erased_at", I64),  # NULL: not erased; else only the id is left, so that it is not used again
    Index("accounts_by_creation", "created_at"),
    Index(
        "accounts_erased",
        "account",
        sqlite_where=text("erased_at IS NOT NULL"),
        postgresql_where=text("erased_at IS NOT NULL"),
    ),
)

# (account, key) first: a signup's dozen rows then touch one leaf here and a dozen only in the index by key.
links = Table(
    "links",
    metadata,
    Column("account", I64, primary_key=True, autoincrement=False),
    Column("key", I64, primary_key=True, autoincrement=False),
    Column("kind", Integer, nullable=False),
    Column("learned_at", I64, nullable=False),  # first sight
    Column("verdicts", SmallInteger, nullable=False),  # bit 1: the account was ever called fraud; bit 2: legitimate
    Column("crowded", SmallInteger, nullable=False, server_default=text("0")),  # see storage/crowds.py
    sqlite_with_rowid=False,
)
Index(
    "links_by_kind",
    links.c.account,
    links.c.kind,
    links.c.learned_at.desc(),
    links.c.key,
    sqlite_where=text("crowded <> 0"),
)
Index("links_by_key", links.c.key, links.c.learned_at, links.c.account)
Index(
    "links_with_verdict",
    links.c.key,
    links.c.verdicts,
    sqlite_where=text("verdicts <> 0"),
    postgresql_where=text("verdicts <> 0"),
)

link_kinds = Table("link_kinds", metadata, Column("kind", Integer, primary_key=True, autoincrement=False))

names = Table(
    "names",
    metadata,
    Column("space", Text, primary_key=True),  # ``kind`` (customers' own link kinds) or ``signal``
    Column("code", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
)

layouts = Table(
    "layouts",
    metadata,
    Column("layout", I64, primary_key=True, autoincrement=False),
    Column("fields", Text, nullable=False),  # JSON list of [name, numpy type]
)

payments = Table(
    "payments",
    metadata,
    Column("event", I64, primary_key=True, autoincrement=False),
    Column("event_id", Text, nullable=False),
    Column("account", I64, nullable=False),
    Column("happened_at", I64, nullable=False),
    Column("learned_at", I64, nullable=False),
    Column("content", I64, nullable=False),
    Column("layout", I64, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    Index("payments_by_account", "account", "learned_at"),
)

signals = Table(
    "signals",
    metadata,
    Column("event", I64, primary_key=True, autoincrement=False),
    Column("account", I64, nullable=False),
    Column("name", Integer, nullable=False),
    Column("happened_at", I64, nullable=False),
    Column("learned_at", I64, nullable=False),
    Column("value", Double, nullable=False),
    Column("content", I64, nullable=False),
    Index("signals_by_account", "account", "learned_at"),
)

link_events = Table(
    "link_events",
    metadata,
    Column("event", I64, primary_key=True, autoincrement=False),
    Column("account", I64, nullable=False),
    Column("content", I64, nullable=False),
    Index("link_events_by_account", "account"),
)

# Ids of live exchanges until they are in a segment, which is asked from then on.
usage_events = Table(
    "usage_events",
    metadata,
    Column("event", I64, primary_key=True, autoincrement=False),
    Column("content", I64, nullable=False),
)

usage_log = Table(
    "usage_log",
    metadata,
    Column("part", I64, primary_key=True, autoincrement=False),
    Column("exchanges", Integer, nullable=False),
    Column("last_learned", I64, nullable=False),
    Column("packed", LargeBinary, nullable=False),  # Arrow stream of the segments' columns
)

usage_tiles = Table(
    "usage_tiles",
    metadata,
    Column("account", I64, primary_key=True, autoincrement=False),
    Column("week", Integer, primary_key=True, autoincrement=False),  # weeks since 1970-01-01
    Column("part", I64, primary_key=True, autoincrement=False),  # positive: appended live and not compacted yet
    Column("last_hour", I64, nullable=False),
    Column("layout", I64, nullable=False),
    Column("tiles", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
Index("usage_tiles_by_hour", usage_tiles.c.last_hour)

segments = Table(
    "segments",
    metadata,
    Column("segment", Text, primary_key=True),
    Column("path", Text, nullable=False),  # below the segments' folder
    Column("first_at", I64, nullable=False),
    Column("last_at", I64, nullable=False),
    Column("last_learned", I64, nullable=False),
    Column("exchanges", I64, nullable=False),
    Column("sha256", Text, nullable=False),
    Index("segments_by_time", "last_at", "first_at"),
)

labels = Table(
    "labels",
    metadata,
    Column("account", I64, primary_key=True, autoincrement=False),
    Column("analyst", Text, primary_key=True),
    Column("decided_at", I64, primary_key=True, autoincrement=False),
    Column("account_id", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("learned_at", I64, nullable=False),
    Column("campaign_id", Text),
    Column("evidence", Text),
    Column("retracted_at", I64),
    Column("retraction_learned_at", I64),
    Column("retraction_reason", Text),
    Index("labels_by_decision", "decided_at", "account", "analyst"),
    Index("labels_by_campaign", "campaign_id"),
)

# What labels come to: the verdict in force per account and span of time (tiles/history.py: verdict_spans).
verdict_spans = Table(
    "verdict_spans",
    metadata,
    Column("account", I64, primary_key=True, autoincrement=False),
    Column("start_at", I64, primary_key=True, autoincrement=False),
    Column("end_at", I64, nullable=False),
    Column("verdict", SmallInteger, nullable=False),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("campaign_id", Text, primary_key=True),
    Column("campaign", I64, nullable=False),  # hash64(campaign_id)
    Column("state", Text, nullable=False),
    Column("origin", Text, nullable=False),  # ``detect``, ``label`` (an analyst's label named it) or ``split``
    Column("score", Double),
    Column("members", Integer, nullable=False),
    Column("created_at", I64, nullable=False),
    Column("detected_at", I64),
    Column("updated_at", I64, nullable=False),
    Column("first_signup_at", I64),
    Column("last_signup_at", I64),
    Column("exchanges", I64, nullable=False),
    Column("input_tokens", I64, nullable=False),
    Column("output_tokens", I64, nullable=False),
    Column("revision", I64, nullable=False),
    Column("merged_into", Text),
    Column("merged_at", I64),
    Column("split_from", Text),
    Column("evidence", Text),  # JSON; NULL: no run wrote any
    Index("campaigns_by_number", "campaign", unique=True),
    Index("campaigns_by_update", "updated_at", "campaign_id"),
    Index("campaigns_by_merger", "merged_into"),
)

# A member belongs from joined_at until before left_at; the spans of an account in a campaign do not overlap. One begins
# where another ends when a run is much surer of the member than before: what was known earlier is not rewritten.
campaign_members = Table(
    "campaign_members",
    metadata,
    Column("account", I64, primary_key=True, autoincrement=False),
    Column("campaign", I64, primary_key=True, autoincrement=False),
    Column("joined_at", I64, primary_key=True, autoincrement=False),
    Column("left_at", I64, nullable=False),  # 2**62: still a member
    Column("member_since", I64, nullable=False),  # joined_at of the first of the spans that join this one
    Column("membership", Double),  # NULL: an analyst put it there
    Column("key_types", Text, nullable=False),  # comma-joined, the strongest first
    Column("placed_by", Text, nullable=False),  # ``detect``, ``analyst`` or ``label``
    sqlite_with_rowid=False,
)
Index(
    "campaign_members_by_campaign",
    campaign_members.c.campaign,
    campaign_members.c.member_since,
    campaign_members.c.account,
    campaign_members.c.left_at,
)

# Accounts that analysts took out of a campaign; no detection puts them back as long as a span is open.
campaign_bars = Table(
    "campaign_bars",
    metadata,
    Column("account", I64, primary_key=True, autoincrement=False),
    Column("campaign", I64, primary_key=True, autoincrement=False),
    Column("start_at", I64, primary_key=True, autoincrement=False),
    Column("end_at", I64, nullable=False),
    Index("campaign_bars_by_campaign", "campaign"),
    sqlite_with_rowid=False,
)

# What was true from ``at`` until the next row. The state follows from the verdict, the labels and the finding.
campaign_states = Table(
    "campaign_states",
    metadata,
    Column("campaign", I64, primary_key=True, autoincrement=False),
    Column("at", I64, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("score", Double),
    Column("members", Integer, nullable=False),
    Column("found", Text),  # what detection says: ``suspected`` or ``detected``; NULL: nothing
    Column("verdict", Text),  # what a review says: ``confirmed``, ``refuted``, ``merged``; NULL: nothing
    sqlite_with_rowid=False,
)

campaign_keys = Table(
    "campaign_keys",
    metadata,
    Column("key", I64, primary_key=True, autoincrement=False),
    Column("campaign", I64, primary_key=True, autoincrement=False),
    Column("start_at", I64, primary_key=True, autoincrement=False),
    Column("end_at", I64, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("weight", Double, nullable=False),  # nats
    Column("private", SmallInteger, nullable=False),
    Column("family", SmallInteger, nullable=False),
    Index("campaign_keys_by_campaign", "campaign"),
    sqlite_with_rowid=False,
)

campaign_reviews = Table(
    "campaign_reviews",
    metadata,
    Column("review_id", Text, primary_key=True),
    Column("campaign_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("analyst", Text, nullable=False),
    Column("second_analyst", Text),
    Column("reason", Text, nullable=False),
    Column("reviewed_at", I64, nullable=False),
    Column("applied_at", I64),  # NULL: not yet
    Column("members", Integer, nullable=False),
    Column("account_ids", Text, nullable=False),  # JSON list; empty: all members
    Column("merge_into", Text),
    Column("request_id", Text),
    Column("revision_seen", I64, nullable=False),
    Column("about", I64, nullable=False),  # hash of the accounts it is about, and of the verdict before it
    Column("undone_by", Text),  # the review that took it back
    Index("campaign_reviews_by_campaign", "campaign_id", "reviewed_at"),
)

# Every request that asked for a review, a second analyst's too, and what it was answered.
review_requests = Table(
    "review_requests",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("content", I64, nullable=False),
    Column("review_id", Text, nullable=False),
    Column("receipt", Text, nullable=False),  # JSON
)

campaign_events = Table(
    "campaign_events",
    metadata,
    Column("number", I64, primary_key=True, autoincrement=True),
    Column("happened_at", I64, nullable=False),
    Column("campaign_id", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("detail", Text, nullable=False),  # JSON object
    Index("campaign_events_by_campaign", "campaign_id", "number"),
)

# At most one row is unfinished: the run at work.
detect_runs = Table(
    "detect_runs",
    metadata,
    Column("run", I64, primary_key=True, autoincrement=True),
    Column("as_of", I64, nullable=False),
    Column("started_at", I64, nullable=False),
    Column("finished_at", I64),
    Column("holder", Text, nullable=False),
    Column("heartbeat_at", I64, nullable=False),
    Column("report", Text),  # JSON; NULL: unfinished, or another run took its place
)

# What a run leaves for the next one; dropping any of it costs time and nothing else.
linking_cache = Table(
    "linking_cache",
    metadata,
    Column("name", Text, primary_key=True),
    Column("as_of", I64, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

assessments = Table(
    "assessments",
    metadata,
    Column("assessment_id", Text, primary_key=True),
    Column("account", I64, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("assessed_at", I64, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("decision", Text, nullable=False),
    Column("recommended_limit", Text),
    Column("model_version", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("feature_fingerprint", Text, nullable=False),
    Column("features", LargeBinary, nullable=False),  # empty: erased
    Column("links", Text, nullable=False),
    Column("rules", Text, nullable=False),
    Column("degraded", Text, nullable=False),
    Column("campaign_id", Text),
    Column("request_id", Text),
    Column("request_content", I64, nullable=False),
    Column("explored_from", Text),
    Column("propensity", Double),
)
Index("assessments_by_account", assessments.c.account, assessments.c.assessed_at, assessments.c.assessment_id)
Index(
    "assessments_by_request",
    assessments.c.request_id,
    unique=True,
    sqlite_where=text("request_id IS NOT NULL"),
    postgresql_where=text("request_id IS NOT NULL"),
)
Index(
    "assessments_by_campaign",
    assessments.c.campaign_id,
    sqlite_where=text("campaign_id IS NOT NULL"),
    postgresql_where=text("campaign_id IS NOT NULL"),
)
Index(
    "assessments_by_chance",
    assessments.c.account,
    sqlite_where=text("propensity IS NOT NULL"),
    postgresql_where=text("propensity IS NOT NULL"),
)

# Assessments of a job over most accounts, thousands to a row: those of the accounts whose number, as an unsigned one,
# begins with the bits of ``shelf`` after its leading one. So an account is looked for on one shelf of each depth.
assessment_blocks = Table(
    "assessment_blocks",
    metadata,
    Column("block", I64, primary_key=True, autoincrement=False),  # hash of what it says
    Column("shelf", I64, nullable=False),
    Column("first_account", I64, nullable=False),
    Column("last_account", I64, nullable=False),
    Column("assessed_at", I64, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("feature_fingerprint", Text, nullable=False),
    Column("assessments", Integer, nullable=False),
    Column("erased", Integer, nullable=False),  # of those, how many have lost their features
    Column("chances", Integer, nullable=False),  # of those, in how many chance had a say
    Column("answers", LargeBinary, nullable=False),  # Arrow stream
    Column("features", LargeBinary, nullable=False),  # see storage/blockfeatures.py
    Index("assessment_blocks_by_shelf", "shelf", "assessed_at"),
    Index("assessment_blocks_by_moment", "assessed_at", "first_account", "last_account"),
)

# Of a block's assessments that name a campaign, how many its rules raised.
block_campaigns = Table(
    "block_campaigns",
    metadata,
    Column("campaign_id", Text, primary_key=True),
    Column("block", I64, primary_key=True, autoincrement=False),
    Column("changed", Integer, nullable=False),
)

# What a challenger would have answered, beside the answer that was given.
shadow_assessments = Table(
    "shadow_assessments",
    metadata,
    Column("assessment_id", Text, primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column("account", I64, nullable=False),
    Column("assessed_at", I64, nullable=False),
    Column("score", Double, nullable=False),
    Column("decision", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Index("shadow_assessments_by_model", "model_version", "account"),
    Index("shadow_assessments_by_account", "account"),
)

models = Table(
    "models",
    metadata,
    Column("version", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("created_at", I64, nullable=False),
    Column("location", Text, nullable=False),
    Column("manifest_sha256", Text, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("promoted_at", I64),
    Column("why", Text, nullable=False),
)
Index(
    "one_champion",
    models.c.state,
    unique=True,
    sqlite_where=text("state = 'champion'"),
    postgresql_where=text("state = 'champion'"),
)

Index(
    "one_shadow",
    models.c.state,
    unique=True,
    sqlite_where=text("state = 'shadow'"),
    postgresql_where=text("state = 'shadow'"),
)

model_events = Table(
    "model_events",
    metadata,
    Column("number", I64, primary_key=True, autoincrement=False),  # 1, 2, 3 ...
    Column("happened_at", I64, nullable=False),
    Column("what", Text, nullable=False),  # ``added``, ``promoted``, ``rolled_back``, ``shadowed``, ``unshadowed``
    Column("version", Text, nullable=False),  # the model that it happened to
    Column("why", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", I64, primary_key=True, autoincrement=True),
    Column("happened_at", I64, nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),  # JSON object
)

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("content", Text, nullable=False),
)

TABLES: tuple[Table, ...] = tuple(metadata.sorted_tables)
