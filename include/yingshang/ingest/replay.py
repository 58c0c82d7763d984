"""Quarantined rows, loaded after all: when the contract or the source has been mended.

The waiting rows of one batch are decrypted and checked against today's contract. Those that pass become one batch of
kind ``replay`` with the night of the first and the row numbers they had there; the others stay. Rows are marked in the
transaction that loads them, so none is loaded twice. The landing gate judges a replay like any batch.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from yingshang.errors import ContractError, CredentialError, SourceInconsistent, UsageError
from yingshang.ingest.batch import assert_nothing_lost, loaded_batch
from yingshang.ingest.checks import RowChecks, Verdict
from yingshang.ingest.conform import TYPED, conform
from yingshang.ingest.dedupe import Deduplicator
from yingshang.ingest.landing import LandingFile
from yingshang.ingest.load import Load, Loaded, WarehouseSession
from yingshang.ingest.node import only_one
from yingshang.ingest.profile import Profile
from yingshang.ingest.quarantine import RAW_TEXT
from yingshang.ingest.rows import ROW, landed_rows, landing_schema, to_arrow
from yingshang.warehouse import ledger, session
from yingshang.warehouse.ledger import Batch, NewBatch

if TYPE_CHECKING:
    import polars as pl

    from yingshang.contracts import Contract
    from yingshang.secrets import KeyRing, Keys
    from yingshang.warehouse import PgConnection

PAGE_ROWS = 5000
MALFORMED_REASON = "malformed_row"
_LENGTH, _ID = "__length__", "__quarantine_id__"


@dataclass(frozen=True)
class Selection:
    """Which batches' quarantined rows: all conditions that are given hold."""

    batch_ids: tuple[int, ...] = ()
    system: str | None = None
    dataset: str | None = None
    node_code: str | None = None
    night: date | None = None


@dataclass(frozen=True)
class Replayed:
    """What became of the quarantined rows of one batch.

    Attributes:
        quarantined: rows of the batch that were ever quarantined.
        before: of these, loaded by earlier replays.
        passed: rows that keep today's contract; loaded, unless it was a dry run.
        reasons: why the others still fail, and how many rows have each reason. ``failing`` rows in all.
        expired: rows whose payload has expired; they cannot be replayed any more.
        replay_id: the new batch; None when nothing was loaded.
        skipped: why the batch was left alone.
    """

    batch_id: int
    dataset: str
    node_code: str
    night: date
    quarantined: int
    before: int = 0
    passed: int = 0
    failing: int = 0
    reasons: tuple[tuple[str, int], ...] = ()
    expired: int = 0
    replay_id: int | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class ReplayReport:
    """``runs``: runs with replays that the landing gate has not admitted yet. ``samples``: quarantined rows of batches
    that failed as a whole; reading their night again brings them, not a replay."""

    batches: tuple[Replayed, ...]
    runs: tuple[str, ...]
    samples: int


def replay(selection: Selection, *, dry_run: bool = False) -> ReplayReport:
    """Load the quarantined rows that pass today's contract, batch by batch. A repeated call loads nothing twice.

    Raises:
        UsageError: a batch that is named does not exist.
        CredentialError: a payload was encrypted with a key that is not there.
        NodeBusy: the node is being ingested.
        WarehouseUnavailable, LandingUnavailable, LoadError: as in a load; batches before it are loaded.
    """
    from yingshang import secrets

    keys = secrets.keys()
    base = f"replay:{uuid.uuid4()}"
    warehouse = WarehouseSession()
    with session("ingest", autocommit=True, application_name="yingshang_replay") as connection:
        try:
            sources = ledger.batches_with_quarantine(connection, **vars(selection))
            for batch_id in set(selection.batch_ids) - {one.batch_id for one in sources}:
                ledger.batch(connection, batch_id)
            done = tuple(_replay_batch(connection, warehouse, one, keys, base, dry_run=dry_run) for one in sources)
        finally:
            warehouse.close()
        return ReplayReport(done, _unjudged_runs(connection, sources), _samples(connection, selection))


def _replay_batch(
    connection: PgConnection, warehouse: WarehouseSession, source: Batch, keys: Keys, base: str, *, dry_run: bool
) -> Replayed:
    from yingshang.contracts import load_contracts

    name = f"{source.system}.{source.dataset}"
    report = Replayed(source.batch_id, name, source.node_code, source.night, source.quarantined_rows)
    contract = load_contracts().get(name)
    if contract is None:
        return replace(report, skipped="its dataset has no contract any more")
    with only_one(connection, source.system, source.node_code):
        current = ledger.batch(connection, source.batch_id)
        counts = _counts(connection, source.batch_id)
        gone = source.quarantined_rows - counts.there
        report = replace(report, before=counts.replayed, expired=gone + counts.expired)
        if not current.is_visible:
            why = current.event or "not judged yet"
            return replace(report, skipped=f"the batch itself is {why}: only rows of admitted batches are replayed")
        if not counts.waiting:
            return report
        one = _Replay(connection, warehouse, current, contract, keys, is_text=counts.is_text)
        return one.count(report) if dry_run else one.load(report, base)


class _Replay:
    """The waiting rows of one batch, on their way into raw."""

    def __init__(
        self,
        connection: PgConnection,
        warehouse: WarehouseSession,
        source: Batch,
        contract: Contract,
        keys: Keys,
        *,
        is_text: bool,
    ) -> None:
        self._connection, self._warehouse, self._source, self._contract = connection, warehouse, source, contract
        self._keys = keys
        last = ledger.last_clock(connection, source.system, source.dataset, source.node_code)
        clock = last or source.source_clock
        if clock is None:
            raise ContractError(f"batch {source.batch_id} has no clock of its source: read its night again")
        self._clock = clock
        self._checks = RowChecks(contract, source.node_code, clock, is_text=is_text)
        self._failing = 0
        self._reasons: Counter[str] = Counter()

    def count(self, report: Replayed) -> Replayed:
        """What would be loaded."""
        passed = sum(verdict.good.height for verdict in self._verdicts())
        return self._told(report, passed, None)

    def load(self, report: Replayed, base: str) -> Replayed:
        """Load what passes. Either all of it is in raw, marked and in the ledger, or nothing."""
        contract, source = self._contract, self._source
        started = datetime.now(UTC)
        schema, profile = landing_schema(contract), Profile(contract)
        dedupe = Deduplicator(tuple(name.lower() for name in contract.personal_columns))
        batch_id = ledger.next_batch_id(self._connection)
        load = Load(
            self._warehouse,
            contract.raw_table,
            schema,
            lambda: LandingFile(contract.system, contract.dataset, source.night, source.node_code, batch_id, schema),
        )
        ids: list[int] = []

        def put(rows: pl.DataFrame) -> None:
            profile.add(rows)
            load.put(to_arrow(rows, schema))

        try:
            for verdict in self._verdicts():
                if verdict.good.height:
                    ids += verdict.good[_ID].to_list()
                    put(dedupe.new_rows(landed_rows(verdict.good, contract, batch_id, self._keys.hmac)))
            for settled in dedupe.settle():
                put(settled)
            if not ids:
                load.abort()
                return self._told(report, 0, None)
            run_id = f"{base}:{source.night}"
            ledger.open_night(self._connection, run_id, source.night)

            def complete(loaded: Loaded) -> NewBatch:
                batch = replace(
                    loaded_batch(
                        contract, loaded, profile, batch_id=batch_id, run_id=run_id, night=source.night,
                        node_code=source.node_code, kind="replay", started_at=started, clock=self._clock,
                        source_rows=len(ids), duplicate_rows=dedupe.duplicates,
                    ),
                    replay_of=source.batch_id,
                )  # fmt: skip
                assert_nothing_lost(batch, f"replay of batch {source.batch_id}, {contract.name} of {source.node_code}")
                return batch

            load.commit(batch_id, _Marks(batch_id, ids), complete)
        except BaseException:
            load.abort()
            raise
        finally:
            dedupe.close()
        return self._told(report, len(ids), batch_id)

    def _told(self, report: Replayed, passed: int, replay_id: int | None) -> Replayed:
        reasons = tuple(self._reasons.most_common())
        return replace(report, passed=passed, failing=self._failing, reasons=reasons, replay_id=replay_id)

    def _verdicts(self) -> Iterator[Verdict]:
        """The waiting rows, checked, page by page."""
        for page in _pages(self._connection, self._source.batch_id):
            rows: list[dict[str, Any]] = []
            for quarantine_id, number, payload, key_id in page:
                content = _decrypted(payload, key_id, self._keys.quarantine, self._source.batch_id)
                if RAW_TEXT in content:  # a line that could not be parted into fields
                    self._fail([[MALFORMED_REASON]])
                else:
                    rows.append({**content, ROW: number, _ID: quarantine_id})
            if rows:
                verdict = self._checks.part(_frame(rows, self._contract))
                self._fail(verdict.reasons)
                yield verdict

    def _fail(self, reasons: Sequence[Sequence[str]]) -> None:
        self._failing += len(reasons)
        for of_row in reasons:
            self._reasons.update(of_row)


@dataclass(frozen=True)
class _Marks:
    """Marks the rows of a replay, in the transaction that loads them."""

    batch_id: int
    ids: list[int]

    def copy_into(self, connection: PgConnection) -> None:
        marked = connection.execute(
            "update quarantine.row set replayed_in = %s where quarantine_id = any(%s)", (self.batch_id, self.ids)
        ).rowcount
        if marked != len(self.ids):
            raise SourceInconsistent(
                f"{len(self.ids) - marked} of {len(self.ids)} rows have left the quarantine meanwhile (expired):"
                " nothing was loaded, replay again"
            )


def _frame(rows: list[dict[str, Any]], contract: Contract) -> pl.DataFrame:
    """Payloads as a conformed frame with their row numbers.

    Of a free text the payload holds the number of characters. Where the column was none when the row was quarantined,
    the payload has the text, which is counted now.
    """
    import polars as pl

    names = tuple(dict.fromkeys(name for row in rows for name in row if name not in (ROW, _ID)))
    texts = {name: [None if row.get(name) is None else str(row[name]) for row in rows] for name in names}
    delivered = pl.DataFrame(texts, schema=dict.fromkeys(names, pl.String))
    batch = delivered.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()[0]
    frame = conform(batch, contract)
    for name in contract.free_text_columns:
        if name in delivered.columns:
            length = delivered[name].str.extract(r"^([0-9]+)$").cast(pl.Int64, strict=False)
            length = length.fill_null(delivered[name].str.len_chars().cast(pl.Int64)).rename(TYPED + name)
            frame = frame.with_columns(length, length.cast(pl.String).rename(name))
    return frame.with_columns(
        pl.Series(ROW, [row[ROW] for row in rows], pl.Int64), pl.Series(_ID, [row[_ID] for row in rows], pl.Int64)
    )


def _decrypted(payload: bytes, key_id: str, ring: KeyRing, batch_id: int) -> dict[str, Any]:
    from cryptography.fernet import Fernet, InvalidToken

    from yingshang.settings import settings

    key = ring.keys.get(key_id)
    if key is None:
        raise CredentialError(
            f"quarantined rows of batch {batch_id} are encrypted with the key {key_id!r}, which is not in"
            f" {settings().keys}: put it back to replay them"
        )
    try:
        content = json.loads(Fernet(key).decrypt(bytes(payload)))
    except InvalidToken:
        raise CredentialError(
            f"the key {key_id!r} in {settings().keys} does not open the quarantined rows of batch {batch_id}: it is"
            " another key of this name"
        ) from None
    assert isinstance(content, dict)  # noqa: S101 - as the spool writes it
    return content


@dataclass(frozen=True)
class _Counts:
    """Quarantined rows of a batch: those still there; of these replayed, expired and waiting.

    ``is_text``: the source was text in some charset.
    """

    there: int
    replayed: int
    expired: int
    waiting: int
    is_text: bool


_ROWS = """
from quarantine.row q
left join ops.batch_state last on last.batch_id = q.replayed_in
where q.batch_id = %s
"""
_REPLAYED = "(q.replayed_in is not null and coalesce(last.event, 'admitted') = 'admitted')"
"""Loaded by a replay that was not taken back: one that the gate has not admitted yet counts."""


def _counts(connection: PgConnection, batch_id: int) -> _Counts:
    row = connection.execute(
        f"""select count(*), count(*) filter (where {_REPLAYED}),
            count(*) filter (where not {_REPLAYED} and q.expires_at <= now()),
            count(*) filter (where not {_REPLAYED} and q.expires_at > now()),
            coalesce(bool_or(array_to_string(q.reasons, ' ') like '%%unreadable:%%'), false)
        {_ROWS}""",
        (batch_id,),
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate
    return _Counts(*row)


def _pages(connection: PgConnection, batch_id: int) -> Iterator[list[tuple[int, int, bytes, str]]]:
    """Waiting rows: quarantine id, row number, payload, key id."""
    after = 0
    while True:
        page = connection.execute(
            f"""select q.quarantine_id, q.row_number, q.payload, q.key_id {_ROWS}
                and q.quarantine_id > %s and not {_REPLAYED} and q.expires_at > now()
            order by q.quarantine_id limit %s""",
            (batch_id, after, PAGE_ROWS),
        ).fetchall()
        if not page:
            return
        yield [(int(one[0]), int(one[1]), one[2], str(one[3])) for one in page]
        after = int(page[-1][0])


def _unjudged_runs(connection: PgConnection, sources: Sequence[Batch]) -> tuple[str, ...]:
    wanted = {one.batch_id for one in sources}
    waiting = [one for one in ledger.unjudged_batches(connection) if one.kind == "replay" and one.replay_of in wanted]
    return tuple(dict.fromkeys(one.run_id for one in waiting))


def _samples(connection: PgConnection, selection: Selection) -> int:
    if selection.batch_ids:
        return 0
    row = connection.execute(
        "select count(*) from quarantine.row where batch_id is null and (%s::text is null or system = %s)"
        " and (%s::text is null or dataset = %s) and (%s::text is null or node_code = %s)"
        " and (%s::date is null or night = %s)",
        tuple(
            value
            for one in (selection.system, selection.dataset, selection.node_code, selection.night)
            for value in (one, one)
        ),
    ).fetchone()
    return int(row[0]) if row else 0


def require_some(selection: Selection) -> None:
    """Raises UsageError when nothing narrows the selection."""
    if selection == Selection():
        raise UsageError("say which rows: --batch, --system, --dataset, --node or --night")
