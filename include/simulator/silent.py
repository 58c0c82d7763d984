"""Silent differences: what a source changes without a word that a reader of windows would hear.

Rows that come with a cursor of days ago, rows that change under their old cursor, rows that are gone without a
tombstone, keys that become others. They are made in a node's real database (behind an API, too) and in the books: as
versions of the last night with ``_kind`` ``silent``, a row that is gone as a tombstone there. Nodes that send files
have no silence: what they do not send is not known to anybody.
"""

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import polars as pl
import psycopg

from localpg import Cluster
from simulator import frontdb
from simulator.books import BOOK_COLUMNS, Books, ProvinceError
from simulator.fleet import Node
from simulator.tables import Table
from simulator.versions import file_of

LATE_DAYS = 3
"""How long before its model's cursor a row that comes too late is dated."""
KIND = "silent"
Keys = list[tuple[str, ...]]


@dataclass
class Silence:
    """What was done, by dataset: keys in the order of the table's key columns. ``rekeyed``: old and new keys."""

    lost: dict[str, Keys] = field(default_factory=dict)
    changed: dict[str, Keys] = field(default_factory=dict)
    deleted: dict[str, Keys] = field(default_factory=dict)
    rekeyed: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = field(default_factory=dict)

    def count(self, dataset: str) -> tuple[int, int, int]:
        """How many keys of a dataset a warehouse has missing, otherwise, and too many because of it."""
        rekeyed = len(self.rekeyed.get(dataset, ()))
        return (
            len(self.lost.get(dataset, ())) + rekeyed,
            len(self.changed.get(dataset, ())),
            len(self.deleted.get(dataset, ())) + rekeyed,
        )


def fall_silent(
    books: Books,
    server: Cluster,
    node: Node,
    dataset: str,
    rng: np.random.Generator,
    *,
    lost: int = 0,
    changed: int = 0,
    deleted: int = 0,
    rekeyed: int = 0,
    vanish: float = 0,
) -> Silence:
    """Change a node's table in its database and in the books.

    Args:
        lost, changed, deleted, rekeyed: how many rows of each kind, all different.
        vanish: this share of the live rows is deleted, too.

    Raises:
        ProvinceError: the node has not so many live rows, sends files, or no night has followed the first one.
    """
    if node.sends_files:
        raise ProvinceError(f"{node.login} sends files: what it does not send is not known to anybody")
    if len(books.nights()) == 1:
        raise ProvinceError("the first night is whole: advance the province before a source falls silent")
    table = books.system.table(dataset)
    if (lost or rekeyed) and len(table.key) > 1:
        raise ProvinceError(f"{dataset} has a key of several columns: it has no new keys of its own")
    picks = _live(books, table, node)
    picks = picks[rng.permutation(picks.height)]
    wanted = lost + changed + deleted + rekeyed
    gone = max(deleted, int(vanish * picks.height + 0.5))
    if changed + gone + rekeyed > picks.height or wanted > picks.height:
        raise ProvinceError(f"{node.login} has {picks.height} live rows of {dataset}, fewer than {wanted}")
    silence, versions = Silence(), _Versions(books)
    rows = books.rows(dataset, picks)
    changing, rows = rows[:changed], rows[changed:]
    moving, rows = rows[:rekeyed], rows[rekeyed:]
    dropping, models = rows[:gone], rows[gone:] if rows.height - gone >= lost else rows
    taken = set(books.latest(dataset)[table.key[0]])
    if changed:
        versions.add(table, _otherwise(table, changing))
        silence.changed[dataset] = _keys(table, changing)
    if gone:
        versions.remove(table, dropping)
        silence.deleted[dataset] = _keys(table, dropping)
    if lost:
        late = models[:lost].with_columns(
            pl.Series(table.key[0], [_new_key(key, taken) for key in models[:lost][table.key[0]]]),
            _back_dated(table),
        )
        versions.add(table, late)
        silence.lost[dataset] = _keys(table, late)
    versions.take_effect(server, node)
    for old in moving[table.key[0]]:
        _rekey(books, node, table, str(old), _new_key(str(old), taken), silence).take_effect(server, node)
    return silence


class _Versions:
    """What is to be put into a database and the books, by table."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._put: dict[Table, list[pl.DataFrame]] = {}
        self._gone: dict[Table, list[pl.DataFrame]] = {}

    def add(self, table: Table, rows: pl.DataFrame) -> None:
        self._put.setdefault(table, []).append(rows)

    def remove(self, table: Table, rows: pl.DataFrame) -> None:
        self._gone.setdefault(table, []).append(rows)

    def take_effect(self, server: Cluster, node: Node) -> None:
        """In the database, in one transaction like any of the node's own, and in the books."""
        self._apply(server, node)
        self._book()

    def _apply(self, server: Cluster, node: Node) -> None:
        with psycopg.connect(server.superuser_dsn(node.database)) as connection:
            for table, frames in self._gone.items():
                name = f"{node.schema}.{table.name.lower()}"
                same = " and ".join(f"{key.lower()} = %s" for key in table.key)
                with connection.cursor() as cursor:
                    cursor.executemany(f"delete from {name} where {same}", _keys(table, pl.concat(frames)))
            for table, frames in self._put.items():
                frontdb.put(connection, node, table, pl.concat(frames), replace=True)

    def _book(self) -> None:
        night = self._books.nights()[-1]
        for table in dict.fromkeys([*self._gone, *self._put]):
            file = file_of(self._books, table.dataset, night)
            delivered = pl.read_parquet(file)
            silent = [
                pl.concat(frames).with_columns(pl.lit(value=is_gone).alias("_deleted"))
                for frames, is_gone in ((self._gone.get(table), True), (self._put.get(table), False))
                if frames
            ]
            marked = pl.concat(silent).with_columns(
                _kind=pl.lit(KIND), _bad=pl.lit(None, dtype=pl.String), _night=pl.lit(night, dtype=pl.Int32),
                _period=pl.lit(night, dtype=pl.Int32), _rev=pl.lit(1, dtype=pl.Int8),
            ).select(*table.columns, *(pl.col(name).cast(kind) for name, kind in BOOK_COLUMNS.items()))  # fmt: skip
            partial = file.with_name(f".{file.name}.partial")
            pl.concat([delivered, marked]).write_parquet(partial, compression="lz4")
            partial.replace(file)


def _live(books: Books, table: Table, node: Node) -> pl.DataFrame:
    """Live rows of a node whose amount, if the table has one, is an amount."""
    also = [table.price] if table.price else []
    rows = books.latest(table.dataset, also=also).filter((pl.col("_node") == node.index) & ~pl.col("_deleted"))
    return rows.filter(pl.col("_milli").is_not_null() & pl.col(table.price).is_not_null()) if table.price else rows


def _otherwise(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with another amount, ten thousand yuan more; without an amount, with another name."""
    if table.price:
        more = pl.when(pl.col("PRICE_UNIT") == "1").then(1).otherwise(10_000)
        amount = (pl.col(table.price).cast(pl.Decimal(20, 6)) + more.cast(pl.Decimal(20, 6))).cast(pl.String)
        return rows.with_columns(amount.alias(table.price), _milli=pl.col("_milli") + 10_000_000)
    name = next((one for one in table.columns if one.endswith("_NAME")), None)
    if name is None:
        raise ProvinceError(f"{table.dataset} has neither an amount nor a name to change")
    return rows.with_columns((pl.col(name).fill_null("") + "（更）").alias(name))


def _back_dated(table: Table) -> pl.Expr:
    moment = pl.col(table.cursor).str.to_datetime("%Y%m%d%H%M%S") - timedelta(days=LATE_DAYS)
    return moment.dt.strftime("%Y%m%d%H%M%S").alias(table.cursor)


def _new_key(old: str, taken: set[str]) -> str:
    """A key like ``old`` that nobody has."""
    for number in range(99, -1, -1):
        new = f"{old[:-2]}{number:02d}"
        if new not in taken:
            taken.add(new)
            return new
    raise ProvinceError(f"there is no free key beside {old}")


def _rekey(books: Books, node: Node, table: Table, old: str, new: str, silence: Silence) -> _Versions:
    """Give a record another key, and let all records of the node that name it follow."""
    name, versions = table.key[0], _Versions(books)
    for each in books.system.tables_at(node):
        for column in (one for one in each.columns if one in (name, f"{name}S")):
            of_node = books.latest(each.dataset, also=[column]).filter(
                (pl.col("_node") == node.index) & ~pl.col("_deleted") & pl.col(column).str.contains(old, literal=True)
            )
            if of_node.is_empty():
                continue
            before = books.rows(each.dataset, of_node)
            after = before.with_columns(pl.col(column).str.replace_all(old, new, literal=True))
            versions.add(each, after)
            if column in each.key:
                versions.remove(each, before)
                pairs = zip(_keys(each, before), _keys(each, after), strict=True)
                silence.rekeyed.setdefault(each.dataset, []).extend(pairs)
            else:
                silence.changed.setdefault(each.dataset, []).extend(_keys(each, before))
    return versions


def _keys(table: Table, rows: pl.DataFrame) -> Keys:
    return list(rows.select(*table.key).iter_rows())
