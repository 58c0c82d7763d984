"""What is true after a night, counted from the books: the figures every warehouse of this province must reach.

``truth/<night>.csv``, one row per system, dataset, node and class of record, cumulative at the end of the night:
live_keys (last version not deleted), deleted_keys, amount_yuan (live rows, each rounded half up to 0.01 yuan, without
held ones), held_keys and held_amount_yuan (live rows over 3 billion yuan). Rows that break the contract are left out.
What a class and an amount is, is said by each system's generator (counts stand as yuan).

``truth/<night>_reads.csv``, one row per system, dataset and node that has it: what a reader meets.
rows: versions delivered that night, bad ones and repeated ones included, future cursors left out; window_rows: what the
window of a nightly reader with two hours of overlap holds; full_rows: what a first full read after the night holds
(of drops their last revisions);
bad_rows of rows; future_rows: rows standing in the source (or delivered in drops) whose cursor lies far ahead;
copies: exact repetitions inside drops; drops: drops that appeared; is_late: the night's own drop did not come.

``truth/<night>_bad.csv``: system, dataset, node, reason, rows that break the contract, delivered that night.

``truth/<night>_figures.csv``: figure, value: the published figures, each at its cut-off; rates in percent with 10
decimals.
"""

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import polars as pl

from simulator.books import Books, Drop, current_rows, number_of, without_superseded
from simulator.fleet import Fleet, all_nodes
from simulator.source import Figures
from simulator.systems import SOURCES
from simulator.tables import Table

HELD_ABOVE_CENTS = 300_000_000_000
FUTURE = "2090"
OVERLAP_HOURS = 2
DECIMALS = Decimal("1e-10")


def write_truth(root: Path, fleet: Fleet, night: date) -> None:
    """Write the four files of ``night``, the last night of the books."""
    folder = root / "truth"
    folder.mkdir(exist_ok=True)
    number = number_of(night)
    parts: dict[str, list[pl.DataFrame]] = {"": [], "_reads": [], "_bad": []}
    found: Figures = {}
    for source in SOURCES:
        books = Books(root, source.system)
        name = pl.lit(source.system.name).alias("system")
        for suffix, frame in {
            "": truth(books, number),
            "_reads": reads(books, fleet.of_system(source.system), number),
            "_bad": bad_rows(books, number),
        }.items():
            parts[suffix].append(frame.select(name, pl.all()))
        found |= source.figures(books, number)
    content = {suffix: pl.concat(frames) for suffix, frames in parts.items()} | {"_figures": _table_of(found)}
    for suffix, frame in content.items():
        partial = folder / f".{night.isoformat()}{suffix}.partial"
        frame.write_csv(partial)
        partial.replace(folder / f"{night.isoformat()}{suffix}.csv")


def _table_of(figures: Figures) -> pl.DataFrame:
    written = {
        name: str(value.quantize(DECIMALS, ROUND_HALF_UP) if isinstance(value, Decimal) else value)
        for name, value in figures.items()
    }
    return pl.DataFrame(
        {"figure": list(written), "value": list(written.values())}, schema_overrides={"value": pl.String}
    )


def truth(books: Books, night: int) -> pl.DataFrame:
    """Keys and sums per dataset, node and class of record at the end of ``night`` (yyyymmdd)."""
    found = []
    cents = (pl.col("_milli") + 5) // 10
    live, held = ~pl.col("_deleted"), cents > HELD_ABOVE_CENTS
    for table in books.system.tables:
        grouped = books.latest(table.dataset, night).group_by("_node", "_type").agg(
            live_keys=live.sum(),
            deleted_keys=pl.col("_deleted").sum(),
            amount=cents.filter(live & ~held).sum(),
            held_keys=(live & held).sum(),
            held_amount=cents.filter(live & held).sum(),
        )  # fmt: skip
        found.append(grouped.with_columns(dataset=pl.lit(table.dataset)))
    return pl.concat(found).with_columns(_codes()).sort("dataset", "node_code", "_type").select(
        "dataset", "node_code", pl.col("_type").alias("type_code"), "live_keys", "deleted_keys",
        _yuan("amount").alias("amount_yuan"), "held_keys", _yuan("held_amount").alias("held_amount_yuan"),
    )  # fmt: skip


def reads(books: Books, fleet: Fleet, night: int) -> pl.DataFrame:
    """What a reader of each node and dataset meets after ``night``. ``fleet``: the nodes as they run the system."""
    plan = books.plan(night)
    late = [all_nodes()[index].code for index in plan.late_nodes]
    drops = pl.DataFrame(
        [(d.dataset, d.node) for d in drops_of(books, fleet, night)],
        schema={"dataset": pl.String, "_node": pl.Int16}, orient="row",
    ).group_by("dataset", "_node").agg(drops=pl.len())  # fmt: skip
    connector = {node.index: node.connector for node in fleet.nodes}
    found = []
    for table in books.system.tables:
        having = [node.index for node in fleet.nodes if node.level in table.levels]
        everyone = pl.DataFrame({"_node": having}, schema={"_node": pl.Int16})
        now = books.delivered(table.dataset, night, ["_node", "_kind", "_bad", table.cursor])
        now = now.filter(pl.col("_kind") != "silent")
        future = pl.col(table.cursor) > FUTURE
        counted = now.group_by("_node").agg(
            rows=(~future).sum(),
            bad_rows=(pl.col("_bad").is_not_null() & ~future).sum(),
            tombstones=(pl.col("_kind") == "tombstone").sum(),
            resent=pl.col("_kind").is_in(["resent", "resent_drop"]).sum(),
            copies=(pl.col("_kind") == "copy").sum(),
        )
        standing = _standing(books, fleet, table, night)
        found.append(
            everyone.join(counted, on="_node", how="left")
            .join(standing, on="_node", how="left")
            .with_columns(dataset=pl.lit(table.dataset))
        )
    wide = pl.concat(found).join(drops, on=["dataset", "_node"], how="left").with_columns(_codes())
    return wide.with_columns(
        connector=pl.col("_node").replace_strict(connector, return_dtype=pl.String),
        is_late=pl.col("node_code").is_in(late).cast(pl.Int8),
    ).select(
        "dataset", "node_code", "connector",
        *(pl.col(c).fill_null(0) for c in (
            "rows", "window_rows", "full_rows", "bad_rows", "future_rows", "tombstones", "resent", "copies", "drops")),
        "is_late",
    ).sort("dataset", "node_code")  # fmt: skip


def _standing(books: Books, fleet: Fleet, table: Table, night: int) -> pl.DataFrame:
    """full_rows, window_rows and future_rows per node."""
    nights = [n for n in books.nights() if n <= night]
    columns = [*table.key, table.cursor, "_node", "_bad", "_night", "_period", "_rev", "_kind", "_deleted"]
    frames = [books.delivered(table.dataset, n, columns) for n in nights]
    future = pl.col(table.cursor) > FUTURE
    in_files = without_superseded(pl.concat([f.filter(pl.col("_node").is_in(fleet.file_indexes)) for f in frames]))
    dropped = in_files.group_by("_node").agg(
        full_rows=(~future).sum(), window_rows=((pl.col("_night") == night) & ~future).sum(), future_rows=future.sum()
    )  # fmt: skip
    queried = [frame.filter(pl.col("_node").is_in(fleet.queried_indexes)) for frame in frames]
    now = _present(queried, table).filter((pl.col("_kind") != "silent") | ~pl.col("_deleted"))
    shown = _present(queried[:-1], table).filter(~future) if len(queried) > 1 else now[:0]
    since = shown.group_by("_node").agg(
        (pl.col(table.cursor).max().str.to_datetime("%Y%m%d%H%M%S") - pl.duration(hours=OVERLAP_HOURS))
        .dt.strftime("%Y%m%d%H%M%S").alias("_since")
    )  # fmt: skip
    window = pl.col(table.cursor) > pl.col("_since").fill_null("")
    asked = now.join(since, on="_node", how="left").group_by("_node").agg(
        full_rows=(~future).sum(), window_rows=(window & ~future).sum(), future_rows=future.sum()
    )  # fmt: skip
    return pl.concat([dropped, asked])


def _present(frames: list[pl.DataFrame], table: Table) -> pl.DataFrame:
    """What databases hold after some nights: of each key the last version. The history has each key once."""
    if len(frames) == 1:
        return frames[0]
    later = current_rows(pl.concat(frames[1:]), table)
    keys = list(table.key)
    replaced = later.filter(pl.col("_bad").is_null()).select(keys)
    bad = pl.col("_bad").is_not_null()
    kept = frames[0].filter(~bad).join(replaced, on=keys, how="anti")
    return pl.concat([kept, frames[0].filter(bad), later])


def bad_rows(books: Books, night: int) -> pl.DataFrame:
    """Contract-breaking rows that ``night`` delivered, by reason."""
    parts = [
        books.delivered(table.dataset, night, ["_node", "_bad"])
        .filter(pl.col("_bad").is_not_null())
        .with_columns(dataset=pl.lit(table.dataset))
        for table in books.system.tables
    ]
    return (
        pl.concat(parts)
        .with_columns(_codes())
        .group_by("dataset", "node_code", pl.col("_bad").alias("reason"))
        .agg(rows=pl.len())
        .sort("dataset", "node_code", "reason")
    )


def drops_of(books: Books, fleet: Fleet, night: int) -> list[Drop]:
    """The drops that appear in ``night``, empty ones included: own ones, those a night late, revisions."""
    plan = books.plan(night)
    nights = books.nights()
    before = nights[nights.index(night) - 1] if night != nights[0] else None
    found = []
    for node in fleet.nodes:
        if not node.sends_files:
            continue
        for table in books.system.tables_at(node):
            if before is not None and node.index in plan.arrived_late:
                found.append(Drop(node.index, table.dataset, before, 1))
            if before is not None and (node.index, table.dataset, before) in plan.revised:
                found.append(Drop(node.index, table.dataset, before, 2))
            if node.index not in plan.late_nodes:
                found.append(Drop(node.index, table.dataset, night, 1))
    return found


def _codes() -> pl.Expr:
    codes = pl.lit(pl.Series([node.code for node in all_nodes()]))
    return codes.gather(pl.col("_node").cast(pl.UInt32)).alias("node_code")


def _yuan(cents: str) -> pl.Expr:
    part = (pl.col(cents) % 100).cast(pl.String).str.zfill(2)
    return (pl.col(cents) // 100).cast(pl.String) + "." + part
