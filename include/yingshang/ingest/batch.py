"""One batch: from a connector's delivery through checks, landing and COPY to its row in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

from yingshang.connectors.base import MALFORMED, Delivery
from yingshang.errors import ContractError, ManifestError, RejectLimitExceeded, SourceInconsistent
from yingshang.ingest.checks import RowChecks
from yingshang.ingest.conform import conform
from yingshang.ingest.dedupe import Deduplicator
from yingshang.ingest.landing import LandingFile
from yingshang.ingest.load import Load, Loaded, WarehouseSession
from yingshang.ingest.profile import Profile
from yingshang.ingest.quarantine import QuarantineSpool
from yingshang.ingest.rows import ROW, landed_rows, landing_schema, to_arrow
from yingshang.warehouse.ledger import BatchKind, NewBatch, next_batch_id

if TYPE_CHECKING:
    from yingshang.contracts import Contract
    from yingshang.secrets import Keys
    from yingshang.warehouse import PgConnection

TEXT_TYPES = ("text", "character", "varchar", "json", "name")
NUMBER_TYPES = ("numeric", "integer", "bigint", "smallint", "real", "double", "decimal", "text", "json")


@dataclass(frozen=True)
class BatchJob:
    """What is known of a batch before it is read.

    ``end``: upper bound to record, of the greatest cursor read (None when none was) and the source's clock.
    ``is_replacement``: see :class:`yingshang.warehouse.ledger.NewBatch`.
    """

    contract: Contract
    node_code: str
    night: date
    run_id: str
    kind: Literal["window", "drop", "reload"]
    clock: str
    is_text: bool
    low: str | None
    end: Callable[[str | None], str | None]
    drop: tuple[str, int, str] | None = None
    is_replacement: bool = False

    @property
    def named(self) -> str:
        """For messages."""
        of_drop = f", drop {self.drop[0]} revision {self.drop[1]}" if self.drop else ""
        return f"{self.contract.name} of node {self.node_code}, night {self.night}{of_drop}"


def load_batch(
    delivery: Delivery,
    job: BatchJob,
    keys: Keys,
    connection: PgConnection,
    warehouse: WarehouseSession,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> NewBatch:
    """Read, check, land and load a delivery. Either all of it is in raw and in the ledger, or nothing.

    Args:
        connection: as ingest, autocommit; for batch ids and for samples of what was refused.
        warehouse: for the load itself.
        on_rows: called with the number of rows of each piece that was read.

    Raises:
        ContractError: a required column is missing.
        RejectLimitExceeded: too many rows break the contract.
        SourceInconsistent: the source's own count is not the number of its rows.
        AlreadyLoaded, WarehouseUnavailable, LandingUnavailable, LoadError, and the connector's errors.
    """
    started = datetime.now(UTC)
    contract = job.contract
    batch_id = next_batch_id(connection)
    schema = landing_schema(contract)
    checks = RowChecks(contract, job.node_code, job.clock, is_text=job.is_text)
    profile = Profile(contract)
    dedupe = Deduplicator(tuple(name.lower() for name in contract.personal_columns))
    spool = QuarantineSpool(
        keys.quarantine,
        batch_id=batch_id,
        run_id=job.run_id,
        system=contract.system,
        dataset=contract.dataset,
        node_code=job.node_code,
        night=job.night,
    )
    load = Load(
        warehouse,
        contract.raw_table,
        schema,
        lambda: LandingFile(contract.system, contract.dataset, job.night, job.node_code, batch_id, schema),
    )
    source_rows, newest = 0, None
    try:
        for piece in delivery.batches:
            if source_rows == 0:
                require_columns(delivery.columns, contract, job.named, "nothing was loaded")
            frame = conform(piece, contract).with_row_index(ROW, offset=source_rows + 1)
            frame = frame.with_columns(_bigint(ROW))
            source_rows += frame.height
            verdict = checks.part(frame)
            newest = max(filter(None, (newest, verdict.newest_cursor)), default=None)
            if verdict.bad.height:
                spool.add(verdict.bad, verdict.reasons)
                profile.reject(verdict.reasons)
                _require_few(spool.rows, delivery, job, profile)
            if verdict.good.height:
                fresh = dedupe.new_rows(landed_rows(verdict.good, contract, batch_id, keys.hmac))
                profile.add(fresh)
                load.put(to_arrow(fresh, schema))
            on_rows(frame.height)
        _require_count(source_rows, delivery, job)
        for settled in dedupe.settle():
            profile.add(settled)
            load.put(to_arrow(settled, schema))

        def complete(loaded: Loaded) -> NewBatch:
            batch = replace(
                loaded_batch(
                    contract, loaded, profile, batch_id=batch_id, run_id=job.run_id, night=job.night,
                    node_code=job.node_code, kind=job.kind, started_at=started, clock=job.clock,
                    source_rows=source_rows, quarantined_rows=spool.rows, duplicate_rows=dedupe.duplicates,
                ),
                cursor_low=job.low,
                cursor_high=job.end(newest),
                drop_period=job.drop[0] if job.drop else None,
                drop_revision=job.drop[1] if job.drop else None,
                drop_sha256=job.drop[2] if job.drop else None,
                drift=drift_of(delivery.columns, contract) if source_rows else {},
                is_replacement=job.is_replacement,
            )  # fmt: skip
            assert_nothing_lost(batch, job.named)
            return batch

        return load.commit(batch_id, spool, complete)
    except BaseException as error:
        load.abort()
        if isinstance(error, RejectLimitExceeded):
            spool.keep_sample(connection)
        raise
    finally:
        dedupe.close()
        spool.close()


def loaded_batch(
    contract: Contract,
    loaded: Loaded,
    profile: Profile,
    *,
    batch_id: int,
    run_id: str,
    night: date,
    node_code: str,
    kind: BatchKind,
    started_at: datetime,
    clock: str,
    source_rows: int,
    quarantined_rows: int = 0,
    duplicate_rows: int = 0,
) -> NewBatch:
    """The ledger's line of rows that have been loaded: what batches of all kinds have."""
    landed = loaded.landed
    return NewBatch(
        batch_id=batch_id,
        run_id=run_id,
        night=night,
        system=contract.system,
        dataset=contract.dataset,
        node_code=node_code,
        kind=kind,
        source_rows=source_rows,
        raw_rows=loaded.raw_rows,
        quarantined_rows=quarantined_rows,
        duplicate_rows=duplicate_rows,
        contract_version=contract.version,
        started_at=started_at,
        source_clock=clock,
        profile=profile.result(
            source_rows=source_rows, quarantined=quarantined_rows, duplicates=duplicate_rows, clock=clock
        ),
        landing_uri=landed.uri if landed else None,
        landing_bytes=landed.size if landed else None,
        landing_sha256=landed.sha256 if landed else None,
    )


def assert_nothing_lost(batch: NewBatch, named: str) -> None:
    """Invariant I1: what the source has = what is in raw + quarantined + identical to another row of the batch."""
    accounted = batch.raw_rows + batch.quarantined_rows + batch.duplicate_rows
    if accounted != batch.source_rows:
        raise SourceInconsistent(
            f"{named}: of {batch.source_rows} rows {batch.raw_rows} are in raw, {batch.quarantined_rows} in"
            f" quarantine and {batch.duplicate_rows} are duplicates: {batch.source_rows - accounted} are unaccounted"
            " for; nothing was loaded"
        )


def drift_of(columns: Mapping[str, str], contract: Contract) -> dict[str, Any]:
    """Columns that the source has more, fewer, or of another type than the contract: ``{}`` when there is no drift."""
    known = set(contract.column_names)
    retyped = {
        column.name: {"contract": column.kind, "source": columns[column.name]}
        for column in contract.columns
        if column.name in columns
        and not columns[column.name].startswith(NUMBER_TYPES if column.kind in ("decimal", "integer") else TEXT_TYPES)
    }
    drift: dict[str, Any] = {
        "extra": sorted(name for name in columns if name not in known and name != MALFORMED),
        "missing": [name for name in contract.column_names if name not in columns],
        "retyped": retyped,
    }
    return {key: value for key, value in drift.items() if value}


def require_columns(present: Collection[str], contract: Contract, named: str, outcome: str) -> None:
    """Every required column has to come. ``outcome``: what is not done else. Raises ContractError."""
    lost = [column.name for column in contract.columns if column.required and column.name not in present]
    if lost:
        raise ContractError(
            f"{named}: the source no longer delivers the required {', '.join(lost)}: {outcome}; ask the node, or change"
            " the contract"
        )


def _require_count(source_rows: int, delivery: Delivery, job: BatchJob) -> None:
    if source_rows == delivery.announced:
        return
    kind, counts = (ManifestError, "manifest announces") if job.drop else (SourceInconsistent, "source counts")
    raise kind(f"{job.named}: the {counts} {delivery.announced} rows, delivered were {source_rows}: nothing was loaded")


def _require_few(rejected: int, delivery: Delivery, job: BatchJob, profile: Profile) -> None:
    contract = job.contract
    if rejected <= contract.reject_floor or rejected <= int(contract.reject_limit * delivery.announced):
        return
    reasons = ", ".join(f"{reason} ({count})" for reason, count in profile.reasons(3))
    raise RejectLimitExceeded(
        f"{job.named}: at least {rejected} of {delivery.announced} rows break the contract, more than its limit of"
        f" {contract.reject_limit:.1%} (and {contract.reject_floor} rows): {reasons}. Nothing was loaded, a"
        " sample is in quarantine: ask the node, or change the contract"
    )


def _bigint(name: str) -> Any:
    import polars as pl

    return pl.col(name).cast(pl.Int64)
