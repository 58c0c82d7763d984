"""What is here beside what is there: key by key, in temporary tables of one session of the warehouse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql
from psycopg.rows import class_row

from yingshang.ingest.reconcile_digests import Shape, bucket_of, raw_key, raw_row, row_sum
from yingshang.warehouse.reconciliations import DifferenceKind

if TYPE_CHECKING:
    from datetime import date

    from yingshang.contracts import Contract
    from yingshang.warehouse import PgConnection

BUCKET_ROWS = 50
"""Rows of a bucket, about: a smaller one tells more of where the differences lie, and there are more of them."""
KEPT_DIFFERENCES = 10_000
"""Differences of one kind that are written down; all are repaired."""
PAGE_ROWS = 5_000

TABLES = ("here", "pending", "there", "there_bucket", "difference")
_VISIBLE = """
    select batch_id, night, seq
    from ops.batch_state
    where (system, dataset, node_code) = ({of}) and event = 'admitted'
"""


@dataclass(frozen=True)
class Difference:
    """A key that differs. ``key``: its values, None where only the digest is known; cursors are 14 digits."""

    kind: DifferenceKind
    key_digest: str
    key: list[str] | None
    cursor_here: str | None
    cursor_there: str | None
    digest_here: str | None
    digest_there: str | None
    batch_here: int | None
    row_here: int | None
    reasons: list[str] | None


class Comparison:
    """One provision. First :meth:`take_here`, then fill the tables ``pending`` and ``there``, then :meth:`classify`."""

    def __init__(self, connection: PgConnection, contract: Contract, node_code: str) -> None:
        self._connection, self._contract = connection, contract
        self._of = sql.SQL(", ").join(map(sql.Literal, (contract.system, contract.dataset, node_code)))
        self._visible = sql.SQL(_VISIBLE).format(of=self._of)
        for name in TABLES:
            connection.execute(sql.SQL("drop table if exists {}").format(_table(name)))
        connection.execute(
            """create temp table reconcile_pending (k text);
            create temp table reconcile_there (k text, cursor text, d text, seq bigint, n bigint);
            create temp table reconcile_there_bucket (bucket bigint, rows bigint, sum numeric, bytes bigint)"""
        )

    def newest_night(self) -> date | None:
        """The newest night of which something is visible; None: nothing is."""
        row = self._connection.execute(sql.SQL("select max(night) from ({}) v").format(self._visible)).fetchone()
        return row[0] if row else None

    def admitted_drops(self) -> dict[tuple[str, str], int]:
        """The visible drops, (period, sha256) -> admitting seq."""
        rows = self._connection.execute(
            sql.SQL(
                "select b.drop_period, b.drop_sha256, max(v.seq) from ({}) v join ops.batch b using (batch_id)"
                " where b.kind = 'drop' group by 1, 2"
            ).format(self._visible)
        )
        return {(period, sha256): int(seq) for period, sha256, seq in rows}

    def take_here(self, shape: Shape) -> None:
        """The latest visible version of each key, by the rule of the models: cursor, admitting seq, row number."""
        contract = self._contract
        keys = sql.SQL(", ").join(sql.Identifier("r", one.raw_name) for one in shape.key)
        texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier("r", one.raw_name)) for one in shape.key)
        cursor = sql.Identifier("r", shape.cursor.raw_name)
        query = sql.SQL(
            """create temp table reconcile_here as
            select {key_digest} as k, {cursor} as cursor, {digest} as d, {delete} = any({deletes}) as is_deleted,
                r._batch_id as batch_id, r._row as row_number, r.seq, array[{texts}] as key
            from (
                select distinct on ({keys}) r.*, v.seq
                from raw.{raw} r join ({visible}) v on v.batch_id = r._batch_id
                order by {keys}, {cursor} desc, v.seq desc, r._row desc
            ) r"""
        ).format(
            key_digest=raw_key(shape, "r"),
            digest=raw_row(shape, "r"),
            cursor=cursor,
            delete=sql.Identifier("r", contract.delete_column.lower()),
            deletes=sql.Literal(list(contract.delete_values)),
            keys=keys,
            texts=texts,
            raw=sql.Identifier(contract.raw_table),
            visible=self._visible,
        )
        self._connection.execute("drop table if exists reconcile_here")
        self._connection.execute(query)
        self._connection.execute("create index on reconcile_here (k)")
        self._connection.execute("analyze reconcile_here")

    def leave_pending(self) -> int:
        """Take keys that the next night reads anyway out of what is here. Returns how many the source has of them."""
        self._connection.execute("delete from reconcile_here h using reconcile_pending p where p.k = h.k")
        return self._count("select count(*) from reconcile_pending")

    def rows_here(self) -> int:
        """Live rows here."""
        return self._count("select count(*) from reconcile_here where not is_deleted")

    def buckets(self) -> int:
        """How many buckets to compare."""
        return max(1, self.rows_here() // BUCKET_ROWS)

    def differing_buckets(self, buckets: int) -> list[int]:
        """Buckets whose rows here are not those of ``there_bucket``."""
        query = sql.SQL(
            """with here as (
                select {bucket} as bucket, count(*) as rows, {sum} as sum
                from reconcile_here where not is_deleted group by 1
            )
            select bucket from here full join reconcile_there_bucket t using (bucket)
            where (here.rows, here.sum) is distinct from (t.rows, t.sum) order by 1"""
        ).format(bucket=bucket_of("k", buckets), sum=row_sum("k", "cursor", "d"))
        return [int(bucket) for (bucket,) in self._connection.execute(query)]

    def bucket_totals(self) -> tuple[int, int]:
        """Rows and bytes of the source by its buckets."""
        row = self._connection.execute(
            "select coalesce(sum(rows), 0), coalesce(sum(bytes), 0) from reconcile_there_bucket"
        ).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def fill(self, table: str, columns: Sequence[str], data: Iterable[bytes]) -> int:
        """Lines of COPY into one of the tables. Returns their bytes."""
        size = 0
        copying = sql.SQL("copy {} ({}) from stdin").format(
            _table(table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with self._connection.cursor() as cursor, cursor.copy(copying) as copy:
            for piece in data:
                size += len(piece)
                copy.write(piece)
        return size

    def classify(self, *, within: tuple[list[int], int] | None = None, of_drops: bool = False) -> None:
        """Say of each key how it differs, into the table ``difference``.

        Args:
            within: only keys in these of so many buckets.
            of_drops: what is there are versions that were once delivered: a later one here is right, and a key of which
                nothing is there says nothing.
        """
        connection = self._connection
        connection.execute("create index on reconcile_there (k)")
        connection.execute("analyze reconcile_there")
        inside: sql.Composable = sql.SQL("true")
        if within is not None:
            inside = sql.SQL("{} = any({})").format(bucket_of("k", within[1]), sql.Literal(within[0]))
        changed: sql.Composable = sql.SQL("t.d <> h.d or t.cursor > h.cursor")
        lost = sql.SQL("h.k is null or h.is_deleted")
        if of_drops:
            changed = sql.SQL("(t.cursor, t.seq) >= (h.cursor, h.seq) and t.d <> h.d or t.cursor > h.cursor")
            lost = sql.SQL("h.k is null")
        deleted = sql.SQL("" if of_drops else _GONE).format(inside=inside)
        same_first = sql.SQL("" if of_drops else "t.d = h.d desc nulls last, ")
        query = sql.SQL(_CLASSIFY).format(
            changed=changed, lost=lost, deleted=deleted, same_first=same_first, of=self._of,
            version=sql.Literal(self._contract.version),
        )  # fmt: skip
        connection.execute("drop table if exists reconcile_difference")
        connection.execute(query)
        connection.execute("create index on reconcile_difference (k)")

    def unverified(self) -> int:
        """Live rows here of which nothing is there."""
        return self._count(
            "select count(*) from reconcile_here h where not is_deleted"
            " and not exists (select from reconcile_there t where t.k = h.k)"
        )

    def rows_there(self) -> int:
        """Keys there."""
        return self._count("select count(distinct k) from reconcile_there")

    def counts(self) -> dict[str, int]:
        """Differences by kind."""
        rows = self._connection.execute("select kind, count(*) from reconcile_difference group by 1")
        return {str(kind): int(count) for kind, count in rows}

    def wanted(self) -> list[tuple[str, str, str | None, str | None, str, str]]:
        """What has to be read: key digest, kind, cursor and digest here, cursor and digest there."""
        return [
            (str(row[0]), str(row[1]), row[2], row[3], str(row[4]), str(row[5]))
            for row in self._connection.execute(
                "select k, kind, cursor_here, digest_here, cursor_there, digest_there from reconcile_difference"
                " where kind in ('lost', 'changed') order by k"
            )
        ]

    def settle(self, verdicts: Iterable[tuple[str, str, list[str], str, list[str] | None]]) -> None:
        """What reading has shown, by key digest: a kind, or ``same`` for a false alarm; key, digest there, reasons."""
        connection = self._connection
        connection.execute("drop table if exists reconcile_seen")
        connection.execute("create temp table reconcile_seen (k text, kind text, key text[], d text, reasons text[])")
        with connection.cursor() as cursor, cursor.copy("copy reconcile_seen from stdin") as copy:
            for verdict in verdicts:
                copy.write_row(verdict)
        connection.execute(
            "update reconcile_difference d set kind = s.kind, key = s.key, reasons = s.reasons,"
            " digest_there = s.d from reconcile_seen s where s.k = d.k"
        )
        connection.execute("delete from reconcile_difference where kind = 'same'")

    def differences(self) -> list[Difference]:
        """The differences that are written down."""
        with self._connection.cursor(row_factory=class_row(Difference)) as cursor:
            return cursor.execute(
                """select kind, k as key_digest, key, cursor_here, cursor_there, digest_here, digest_there, batch_here,
                    row_here, reasons
                from (select *, row_number() over (partition by kind order by k) as number from reconcile_difference) d
                where number <= %s order by kind, k""",
                (KEPT_DIFFERENCES,),
            ).fetchall()

    def deleted_versions(self) -> Iterator[list[tuple[Any, ...]]]:
        """The versions that tombstones are to close, by pages: the contract's columns, raw names."""
        columns = sql.SQL(", ").join(sql.Identifier("r", name) for name in self._contract.raw_names)
        query = sql.SQL(
            "select d.k, {} from reconcile_difference d join raw.{} r on r._batch_id = d.batch_here and r._row ="
            " d.row_here where d.kind = 'deleted' and d.k > %s order by d.k limit %s"
        ).format(columns, sql.Identifier(self._contract.raw_table))
        after = ""
        while page := self._connection.execute(query, (after, PAGE_ROWS)).fetchall():
            yield [tuple(row[1:]) for row in page]
            after = str(page[-1][0])

    def _count(self, query: LiteralString) -> int:
        row = self._connection.execute(query).fetchone()
        return int(row[0]) if row else 0


_CLASSIFY = """
create temp table reconcile_difference as
with there as (
    select distinct on (t.k) t.*
    from reconcile_there t left join reconcile_here h using (k)
    where not exists (select from reconcile_pending p where p.k = t.k)
    order by t.k, {same_first}t.cursor desc, t.seq desc nulls last, t.n desc nulls last
),
known as (
    select d.key_digest as k, d.digest_there as d
    from ops.reconciliation_difference d join ops.reconciliation r using (reconciliation_id)
    where d.kind = 'rejected' and (r.system, r.dataset, r.node_code) = ({of}) and r.contract_version = {version}
),
differing as (
    select case when {lost} then 'lost' else 'changed' end as kind, t.k, h.key, h.cursor as cursor_here,
        t.cursor as cursor_there, h.d as digest_here, t.d as digest_there, h.batch_id as batch_here,
        h.row_number as row_here
    from there t left join reconcile_here h using (k)
    where {lost} or {changed}
)
select case when exists (select from known n where n.k = f.k and n.d = f.digest_there) then 'rejected' else f.kind end
        as kind,
    f.k, f.key, f.cursor_here, f.cursor_there, f.digest_here, f.digest_there, f.batch_here, f.row_here,
    null::text[] as reasons
from differing f
{deleted}
"""
_GONE = """
union all
select 'deleted', h.k, h.key, h.cursor, null, h.d, null, h.batch_id, h.row_number, null
from reconcile_here h
where not h.is_deleted and {inside} and not exists (select from reconcile_there t where t.k = h.k)
"""


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(f"reconcile_{name}")
