"""The repair of a provision: rows that were lost or have changed as new versions, and tombstones, as one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from yingshang.errors import SourceInconsistent
from yingshang.ingest.batch import assert_nothing_lost, loaded_batch
from yingshang.ingest.landing import LandingFile
from yingshang.ingest.load import Load, Loaded, WarehouseSession
from yingshang.ingest.profile import Profile
from yingshang.ingest.reconcile_compare import Comparison, Difference
from yingshang.ingest.reconcile_digests import digests_of_frame
from yingshang.ingest.reconcile_observe import DIGEST as ROW_DIGEST
from yingshang.ingest.reconcile_observe import KEY, REASONS, Observed
from yingshang.ingest.rows import BATCH, DIGEST, ROW, digest, landing_schema, to_arrow
from yingshang.warehouse import ledger
from yingshang.warehouse.ledger import NewBatch
from yingshang.warehouse.reconciliations import Reconciliation, insert_reconciliation

if TYPE_CHECKING:
    from datetime import date

    import polars as pl

    from yingshang.contracts import Contract
    from yingshang.warehouse import PgConnection

_KIND, _CURSOR_HERE, _DIGEST_HERE, _CURSOR_THERE, _DIGEST_THERE = (f"__{n}__" for n in ("w", "ch", "dh", "ct", "dt"))


@dataclass
class Reading:
    """The rows that differ, on their way: :meth:`rows` gives the good ones, and keeps what was seen of each key."""

    comparison: Comparison
    observed: Observed
    contract: Contract
    verdicts: dict[str, tuple[str, str, list[str], str, list[str] | None]] = field(default_factory=dict)

    def rows(self) -> Iterator[pl.DataFrame]:
        """Rows to load, in the form of the raw table (batch 0).

        A version whose cursor lies before that of the version it replaces takes the cursor of that: the greater one
        would win.

        Raises:
            SourceInconsistent: the source no longer gives a row that it has.
        """
        import polars as pl

        wanted = self.comparison.wanted()
        if not wanted:
            return
        names = (KEY, _KIND, _CURSOR_HERE, _DIGEST_HERE, _CURSOR_THERE, _DIGEST_THERE)
        known = pl.DataFrame(wanted, schema=dict.fromkeys(names, pl.String), orient="row")
        key, row_digest = digests_of_frame(self.observed.shape)
        cursor = pl.col(self.observed.shape.cursor.raw_name)
        for frame in self.observed.read([one[0] for one in wanted]):
            joined = frame.with_columns(key.alias(KEY), row_digest.alias(ROW_DIGEST)).join(known, on=KEY, how="inner")
            if self.observed.method != "digests":  # of several versions of a key, the one that was compared
                same = (pl.col(ROW_DIGEST) == pl.col(_DIGEST_THERE)) & (cursor.fill_null("") == pl.col(_CURSOR_THERE))
                joined = joined.filter(same)
            is_bad = pl.col(REASONS).is_not_null()
            is_same = (
                (pl.col(_KIND) == "changed") & (pl.col(ROW_DIGEST) == pl.col(_DIGEST_HERE))
                & (cursor <= pl.col(_CURSOR_HERE))
            )  # fmt: skip
            self._note(joined.filter(is_bad), "rejected")
            self._note(joined.filter(~is_bad & is_same), "same")
            good = joined.filter(~is_bad & ~is_same)
            self._note(good, None)
            if good.height:
                yield good.with_columns(
                    pl.max_horizontal(cursor, pl.col(_CURSOR_HERE)).alias(self.observed.shape.cursor.raw_name)
                )
        unseen = {one[0] for one in wanted} - self.verdicts.keys()
        if unseen:
            raise SourceInconsistent(
                f"{self.contract.name}: {len(unseen)} rows that the source has were not given when they were asked for:"
                " nothing was repaired"
            )

    def _note(self, frame: pl.DataFrame, verdict: str | None) -> None:
        keys = [one.raw_name for one in self.observed.shape.key]
        for row in frame.select(KEY, _KIND, ROW_DIGEST, REASONS, _DIGEST_THERE, *keys).iter_rows(named=True):
            known = self.verdicts.get(row[KEY])
            if known is not None and verdict == "rejected":
                continue
            values = [str(row[name]) for name in keys]
            of_there = row[_DIGEST_THERE] if verdict == "rejected" else row[ROW_DIGEST]
            self.verdicts[row[KEY]] = (row[KEY], verdict or row[_KIND], values, of_there, row[REASONS])


@dataclass(frozen=True)
class _Record:
    """Writes the comparison beside its repair, in one transaction."""

    record: Reconciliation
    differences: Sequence[Difference]
    written: list[Reconciliation]

    def copy_into(self, connection: PgConnection) -> None:
        self.written.append(write(connection, self.record, self.differences))


def write(connection: PgConnection, record: Reconciliation, differences: Sequence[Difference]) -> Reconciliation:
    """Write a comparison with its differences; the caller commits."""
    written = insert_reconciliation(connection, record)
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "copy ops.reconciliation_difference (reconciliation_id, kind, key_digest, key, cursor_here, cursor_there,"
            " digest_here, digest_there, batch_here, row_here, reasons) from stdin"
        ) as copy,
    ):
        for one in differences:
            copy.write_row((
                written.reconciliation_id, one.kind, one.key_digest, one.key, one.cursor_here, one.cursor_there,
                one.digest_here, one.digest_there, one.batch_here, one.row_here, one.reasons,
            ))  # fmt: skip
    return written


def repair(
    connection: PgConnection,
    warehouse: WarehouseSession,
    comparison: Comparison,
    reading: Reading,
    record: Reconciliation,
    clock: str,
) -> Reconciliation:
    """Load the repair and write the comparison: either both, or nothing.

    ``record``: with the counts of what was compared; those of the differences are set here, and the outcome.

    Raises:
        SourceInconsistent, LoadError, WarehouseUnavailable, LandingUnavailable.
    """
    contract = reading.contract
    started, schema, profile = datetime.now(UTC), landing_schema(contract), Profile(contract)
    batch_id = ledger.next_batch_id(connection)
    load = Load(
        warehouse,
        contract.raw_table,
        schema,
        lambda: LandingFile(contract.system, contract.dataset, record.night, record.node_code, batch_id, schema),
    )
    rows = 0
    try:
        for frame in _all_rows(comparison, reading):
            landed = _landed(frame, contract, batch_id, rows)
            rows += landed.height
            profile.add(landed)
            load.put(to_arrow(landed, schema))
        comparison.settle(reading.verdicts.values())
        record = counted(record, comparison, reading.observed)
        if not rows:
            load.abort()
            with connection.transaction():
                return write(connection, replace(record, outcome="same"), comparison.differences())
        run_id = repair_run(record.run_id, record.night)
        ledger.open_night(connection, run_id, record.night)

        def complete(loaded: Loaded) -> NewBatch:
            batch = loaded_batch(
                contract, loaded, profile, batch_id=batch_id, run_id=run_id, night=record.night,
                node_code=record.node_code, kind="reconcile", started_at=started, clock=clock, source_rows=rows,
            )  # fmt: skip
            assert_nothing_lost(batch, f"repair of {record.name}")
            return batch

        written: list[Reconciliation] = []
        done = replace(record, outcome="repaired", batch_id=batch_id)
        load.commit(batch_id, _Record(done, comparison.differences(), written), complete)
        return written[0]
    except BaseException:
        load.abort()
        raise


def repair_run(run_id: str, night: date) -> str:
    """Id of the ledger's run that the repairs of one night belong to."""
    return f"{run_id}:{night}"


def counted(record: Reconciliation, comparison: Comparison, observed: Observed) -> Reconciliation:
    """The record with its differences counted."""
    counts = comparison.counts()
    return replace(
        record,
        lost_rows=counts.get("lost", 0),
        changed_rows=counts.get("changed", 0),
        deleted_rows=counts.get("deleted", 0),
        rejected_rows=counts.get("rejected", 0),
        bytes_moved=observed.bytes_moved + observed.moved(),
    )


def _all_rows(comparison: Comparison, reading: Reading) -> Iterator[pl.DataFrame]:
    yield from reading.rows()
    yield from tombstones(comparison, reading.contract)


def tombstones(comparison: Comparison, contract: Contract) -> Iterator[pl.DataFrame]:
    """Of each key that is gone, its last version once more, marked as deleted: it takes the cursor of that version."""
    import polars as pl

    schema = pl.DataFrame(landing_schema(contract).empty_table()).select(contract.raw_names).schema
    for page in comparison.deleted_versions():
        yield pl.DataFrame(page, schema=schema, orient="row").with_columns(
            pl.lit(contract.delete_values[0]).alias(contract.delete_column.lower())
        )


def _landed(frame: pl.DataFrame, contract: Contract, batch_id: int, before: int) -> pl.DataFrame:
    """Rows of the batch, numbered after ``before`` others, with the digest of what they say now."""
    import polars as pl

    return frame.select(
        *contract.raw_names,
        pl.lit(batch_id, dtype=pl.Int64).alias(BATCH),
        pl.int_range(before + 1, before + 1 + pl.len(), dtype=pl.Int64).alias(ROW),
        digest(contract, of_landed=True).alias(DIGEST),
    )
