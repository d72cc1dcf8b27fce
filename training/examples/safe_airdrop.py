"""Accounts of a token distribution, and the campaigns that human reviewers confirmed among them, with the moment.

The records are CC0. 55,719 accounts, of which 12,168 were confirmed in 68 campaigns, the largest of 5,511 members. What
this example does with them:

- The data have no creation times. Every account is taken as created at one fixed moment, ``CREATED``, before the first
  verdict; nothing that depends on an account's age can be learned from this import.
- The amount allocated and the number of transactions become signals at that moment, where they are known.
- A confirmed account becomes a label ``fraud`` with its campaign, decided when it was confirmed, by ``reviewers``.
  The others were not confirmed, which is no verdict: they get no label.
- There are no linking keys, so the import tests campaigns as objects, and not how they are found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from service.domain.time import micros, rfc3339
from training.simulate.tables import SCHEMAS, table, write

CREATED = micros(datetime(2022, 9, 1, tzinfo=UTC))
ANALYST = "reviewers"
SIGNALS = ("allocated_tokens", "transactions")


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written."""

    accounts: int
    labels: int
    campaigns: int
    signals: int


def convert(source: Path, out: Path) -> Converted:
    """Writes OUT/accounts, signals and labels. Raises FileNotFoundError where ``source`` lacks accounts.parquet."""
    rows = pq.read_table(source / "accounts.parquet").combine_chunks()
    given = {"account_id": _text(rows["account"]), "created_at": [CREATED] * len(rows)}
    absent = [name for name in SCHEMAS["accounts"].names if name not in given]
    write(out / "accounts.parquet", table("accounts", given | dict.fromkeys(absent, pa.nulls(len(rows)))))
    signals = pa.concat_tables(_signal(rows, name) for name in SIGNALS)
    write(out / "signals.parquet", signals)
    confirmed = rows.filter(pc.is_valid(rows["campaign"])).combine_chunks()
    n = len(confirmed)
    write(
        out / "labels.parquet",
        table(
            "labels",
            {
                "account_id": _text(confirmed["account"]),
                "verdict": ["fraud"] * n,
                "decided_at": confirmed["confirmed_at"].cast(pa.int64()).combine_chunks(),
                "analyst": [ANALYST] * n,
                "campaign_id": pc.binary_join_element_wise("airdrop", _text(confirmed["campaign"]), "-"),
                "evidence": pa.nulls(n),
                "retracted_at": pa.nulls(n),
            },
        ),
    )
    return Converted(len(rows), n, len(pc.unique(confirmed["campaign"])), len(signals))


def _signal(rows: pa.Table, name: str) -> pa.Table:
    known = rows.filter(pc.is_finite(rows[name])).combine_chunks()
    n = len(known)
    columns = {"account_id": _text(known["account"]), "happened_at": [CREATED] * n, "name": [name] * n}
    return table("signals", columns | {"value": known[name].combine_chunks()})


def _text(column: pa.ChunkedArray) -> pa.Array:
    return column.cast(pa.string()).combine_chunks()


@click.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(source: Path, out: Path) -> None:
    """Turn the folder SOURCE (with accounts.parquet) into the interchange directory OUT."""
    made = convert(source, out)
    click.echo(
        f"{out}: {made.accounts:,} accounts, all created at {rfc3339(CREATED)} because the data do not say when, "
        f"{made.signals:,} signals, {made.labels:,} labels in {made.campaigns} campaigns"
    )


if __name__ == "__main__":
    main()
