"""Accounts of a public code host: counts of what each did, in two snapshots, and which were suspected of fake stars.

The data are those of He et al., "4.5 Million (Suspected) Fake Stars in GitHub" (2024), Apache-2.0, with account names
replaced by hashes. What this example does with them, and what it cannot:

- There are no signup times and no times of verdicts. Accounts are taken as created, their counts as reported and their
  labels as decided at the date of their snapshot. So this is a split by snapshot with one date on each side; it says
  nothing about how early an account could have been caught.
- The counts (every column ``...Event``; the file has 15) become signals of the same names. A count of zero is a value.
- 199 accounts are in both snapshots, with other counts and, ten of them, with another verdict. An account id is the
  name and the snapshot's date: the second look at a name is an account of its own, and no verdict on the first says
  anything about it. As its only features are counts, nothing else can carry over.
- 15 names stand twice in one snapshot, once suspected and once in the sample of others. They are suspected.
- The labels are a heuristic's, and low activity is part of that heuristic: figures made from them flatter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from service.domain.time import micros
from training.simulate.tables import table, write

ANALYST = "starscout"
HELD_OUT = "second_labels_held_out.parquet"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot as written."""

    date: str  # as the file says it, such as 2024-10-01
    at: int  # its first moment, UTC microseconds
    accounts: int
    fraud: int
    counts: tuple[str, ...]  # names of the signals


def convert(source: Path, out: Path) -> tuple[Snapshot, Snapshot]:
    """Writes OUT/first (accounts, signals, labels), OUT/second (accounts, signals) and the second's labels beside them.

    The held-out labels lie where no import looks. Raises FileNotFoundError where ``source`` lacks actors.parquet.
    """
    rows = pq.read_table(source / "actors.parquet")
    counts = tuple(name for name in rows.column_names if name.endswith("Event"))
    first, second = sorted(pc.unique(rows["snapshot"]).to_pylist())
    return (
        _snapshot(rows, first, counts, out / "first", out / "first" / "labels.parquet"),
        _snapshot(rows, second, counts, out / "second", out / HELD_OUT),
    )


def _snapshot(rows: pa.Table, date: str, counts: tuple[str, ...], out: Path, labels: Path) -> Snapshot:
    rows = rows.filter(pc.equal(rows["snapshot"], date)).sort_by(
        [("actor", "ascending"), ("suspected_fake", "descending")]
    )
    names = rows["actor"].to_pylist()
    rows = rows.take([i for i, name in enumerate(names) if i == 0 or name != names[i - 1]])
    n = len(rows)
    at = micros(datetime.fromisoformat(date).replace(tzinfo=UTC))
    ids = pc.binary_join_element_wise(rows["actor"].cast(pa.string()), date, "@").combine_chunks()
    nothing = pa.nulls(n)
    optional = ("email", "full_name", "phone", "country", "ip", "user_agent", "device_id", "accept_language", "plan")
    rest = ("signup_source", "form_seconds", "email_verified", "phone_verified")
    write(
        out / "accounts.parquet",
        table("accounts", {"account_id": ids, "created_at": [at] * n} | dict.fromkeys(optional + rest, nothing)),
    )
    write(
        out / "signals.parquet",
        pa.concat_tables(
            table(
                "signals",
                {"account_id": ids, "happened_at": [at] * n, "name": [name] * n, "value": _floats(rows[name])},
            )
            for name in counts
        ),
    )
    verdicts = ["fraud" if fake else "legitimate" for fake in rows["suspected_fake"].to_pylist()]
    write(
        labels,
        table(
            "labels",
            {"account_id": ids, "verdict": verdicts, "decided_at": [at] * n, "analyst": [ANALYST] * n}
            | dict.fromkeys(("campaign_id", "evidence", "retracted_at"), nothing),
        ),
    )
    return Snapshot(date, at, n, verdicts.count("fraud"), counts)


def _floats(counts: pa.ChunkedArray) -> pa.Array:
    return counts.cast(pa.float64()).combine_chunks()


@click.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(source: Path, out: Path) -> None:
    """Turn the folder SOURCE (with actors.parquet) into interchange directories under OUT."""
    for name, snapshot in zip(("first", "second"), convert(source, out), strict=True):
        click.echo(
            f"{out / name}: snapshot {snapshot.date}, {snapshot.accounts:,} accounts, "
            f"{snapshot.fraud:,} of them suspected, {len(snapshot.counts)} signals each"
        )
    click.echo(f"{out / HELD_OUT}: the verdicts on the second snapshot, not to be imported")


if __name__ == "__main__":
    main()
