"""On SQLite the index of links by kind has crowded accounts' rows alone (see storage/crowds.py)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("links", sa.Column("crowded", sa.SmallInteger(), nullable=False, server_default=sa.text("0")))
    if op.get_bind().dialect.name != "sqlite":
        return
    op.drop_index("links_by_kind", "links")
    op.create_index(
        "links_by_kind",
        "links",
        ["account", "kind", sa.text("learned_at DESC"), "key"],
        sqlite_where=sa.text("crowded <> 0"),
    )
    op.execute(
        "UPDATE links SET crowded = 1 WHERE account IN "
        "(SELECT account FROM links GROUP BY account HAVING count(*) > 192)"
    )
