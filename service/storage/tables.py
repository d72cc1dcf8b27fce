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
    sqlite_with_rowid=False,
)
Index("links_by_kind", links.c.account, links.c.kind, links.c.learned_at.desc(), links.c.key)
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
    Column("state", Text, nullable=False),
    Column("origin", Text, nullable=False),  # ``label``: an analyst's label named it
    Column("created_at", I64, nullable=False),
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
)
Index("assessments_by_account", assessments.c.account, assessments.c.assessed_at, assessments.c.assessment_id)
Index(
    "assessments_by_request",
    assessments.c.request_id,
    unique=True,
    sqlite_where=text("request_id IS NOT NULL"),
    postgresql_where=text("request_id IS NOT NULL"),
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

model_events = Table(
    "model_events",
    metadata,
    Column("number", I64, primary_key=True, autoincrement=False),  # 1, 2, 3 ...
    Column("happened_at", I64, nullable=False),
    Column("what", Text, nullable=False),  # ``added``, ``promoted``, ``rolled_back``
    Column("version", Text, nullable=False),  # the model that is champion from then on, or was added
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
