"""The books of the province: every version of every record that any node ever delivered, night by night.

``books/<night>/<dataset>.parquet`` holds what the night delivered; ``pending`` beside it what has been decided but lies
in the future; ``held`` the rows of drops that come a night late. The present state, the truth and the source tables are
functions of this log. A night is written to a folder of its own and takes effect by one rename of ``province.json``.

Columns of the books beside the national ones: ``_p`` project number, ``_node`` node index, ``_type``, ``_milli`` amount
in thousandths of a yuan, ``_deleted``, ``_kind`` why the version was delivered, ``_bad`` how it breaks the contract
(null: it does not), ``_night`` yyyymmdd of the delivery, ``_period`` and ``_rev`` period and revision of its drop.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from simulator.tables import System, Table

FORMAT = 2
FIRST_NIGHT = date(2024, 8, 13)
EPOCH = date(1970, 1, 1)
Frames = dict[str, pl.DataFrame]

BOOK_COLUMNS: dict[str, Any] = {
    "_p": pl.Int64,
    "_node": pl.Int16,
    "_type": pl.String,
    "_milli": pl.Int64,
    "_deleted": pl.Boolean,
    "_kind": pl.String,
    "_bad": pl.String,
    "_night": pl.Int32,
    "_period": pl.Int32,
    "_rev": pl.Int8,
}


class ProvinceError(RuntimeError):
    """What a person can set right: not generated yet, a busy port, a state folder of something else."""


@dataclass(frozen=True)
class Drop:
    """One drop of one file county and table; ``revision`` 2 replaces the first one of its period."""

    node: int
    dataset: str
    period: int
    revision: int


@dataclass(frozen=True)
class Meta:
    """What the state folder is about. ``counters`` are the free running numbers of each system."""

    seed: int
    scale: float
    profile: str | None
    night: str
    counters: dict[str, dict[str, int]]
    format: int = FORMAT
    has_canaries: bool = False

    @property
    def last_night(self) -> date:
        return date.fromisoformat(self.night)


@dataclass(frozen=True)
class NightPlan:
    """What a night says about drops: nodes whose drops come a night late, came late, or are revised."""

    late_nodes: tuple[int, ...] = ()
    arrived_late: tuple[int, ...] = ()
    revised: tuple[tuple[int, str, int], ...] = ()


@dataclass(frozen=True)
class Night:
    """All that one night adds to the books of one system."""

    delivered: Frames
    pending: Frames
    held: Frames
    plan: NightPlan
    counters: dict[str, int]


class Books:
    """The books under ``root`` (the state folder)."""

    def __init__(self, root: Path, system: System) -> None:
        self.root = root
        self.system = system
        self._folder = root / "books" / system.name

    @property
    def meta(self) -> Meta:
        """Raises ProvinceError when there are no books, or they are of another version."""
        return read_meta(self.root)

    def nights(self) -> list[int]:
        """Delivered nights as yyyymmdd, the base history first."""
        last = number_of(self.meta.last_night)
        return sorted(int(p.name) for p in self._folder.glob("2*") if p.name.isdigit() and int(p.name) <= last)

    def write(self, night: date, content: Night) -> None:
        """Write the files of a night; they count once :func:`save_meta` has named the night."""
        folder = self._folder / str(number_of(night))
        for name, frames in (("", content.delivered), ("pending", content.pending), ("held", content.held)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            for table in self.system.tables:
                frame = frames.get(table.dataset, None if name else no_rows(table))
                if frame is not None:
                    frame.write_parquet(folder / name / f"{table.dataset}.parquet", compression="lz4")
        (folder / "plan.json").write_text(json.dumps(asdict(content.plan)), encoding="utf-8")

    def plan(self, night: int) -> NightPlan:
        content = json.loads((self._folder / str(night) / "plan.json").read_text(encoding="utf-8"))
        return NightPlan(
            tuple(content["late_nodes"]),
            tuple(content["arrived_late"]),
            tuple((n, d, p) for n, d, p in content["revised"]),
        )

    def delivered(self, dataset: str, night: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The versions that one night delivered, in order of delivery."""
        return pl.read_parquet(self._file(dataset, night), columns=list(columns) if columns else None)

    def delivered_by(self, dataset: str, night: int, nodes: Sequence[int]) -> pl.DataFrame:
        """The versions that some nodes delivered in one night, in order of delivery."""
        scan = pl.scan_parquet(self._file(dataset, night))
        return scan.filter(pl.col("_node").is_in(list(nodes))).collect()

    def pending(self, dataset: str, day: int) -> pl.DataFrame:
        """What earlier nights have decided for day ``day`` (since 1970)."""
        files = [self._folder / str(night) / "pending" / f"{dataset}.parquet" for night in self.nights()]
        return pl.concat([pl.scan_parquet(f).filter(pl.col("_due") == day).collect() for f in files if f.exists()])

    def held(self, dataset: str, night: int) -> pl.DataFrame | None:
        """Rows of drops that the night's late nodes owe."""
        file = self._folder / str(night) / "held" / f"{dataset}.parquet"
        return pl.read_parquet(file) if file.exists() else None

    def latest(self, dataset: str, upto: int | None = None, also: Sequence[str] = ()) -> pl.DataFrame:
        """The last good version of each key, tombstones included, drops that were revised left out.

        Columns: key columns, cursor, those of ``also``, book columns, ``_row`` place in the night's file.
        """
        table = self.system.table(dataset)
        nights = [night for night in self.nights() if upto is None or night <= upto]
        columns = list(dict.fromkeys([*table.key, table.cursor, *also, *BOOK_COLUMNS]))
        frames = [self.delivered(dataset, night, columns).with_row_index("_row").with_columns(
            pl.col("_row").cast(pl.Int64)) for night in nights]  # fmt: skip
        base = frames[0].filter(pl.col("_bad").is_null() & ~pl.col("_kind").is_in(["older", "copy"]))
        if len(frames) == 1:
            return base
        later = without_superseded(pl.concat(frames[1:]).filter(pl.col("_bad").is_null()))
        keys = list(table.key)
        later = later.sort(table.cursor, maintain_order=True).unique(keys, keep="last", maintain_order=True)
        return pl.concat([base.join(later.select(keys), on=keys, how="anti", maintain_order="left"), later])

    def rows(self, dataset: str, picks: pl.DataFrame) -> pl.DataFrame:
        """Whole rows of versions named by (``_night``, ``_row``), in the order of ``picks``."""
        found = []
        for (night,), part in picks.group_by("_night", maintain_order=True):
            wanted = part["_row"].sort()
            scan = pl.scan_parquet(self._file(dataset, int(str(night))), row_index_name="_row").with_columns(
                pl.col("_row").cast(pl.Int64)
            )
            found.append(scan.filter(pl.col("_row").is_in(wanted.implode())).collect())
        if not found:
            return pl.DataFrame()
        order = picks.select("_night", "_row")
        return order.join(pl.concat(found), on=["_night", "_row"], how="left", maintain_order="left").drop("_row")

    def _file(self, dataset: str, night: int) -> Path:
        return self._folder / str(night) / f"{dataset}.parquet"


def no_rows(table: Table) -> pl.DataFrame:
    """An empty delivery of a table."""
    return pl.DataFrame(schema={**dict.fromkeys(table.columns, pl.String), **BOOK_COLUMNS})


def without_superseded(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop versions whose (node, period) has a greater revision among ``frame``."""
    if frame["_rev"].max() == 1 or frame.is_empty():
        return frame
    last = frame.group_by("_node", "_period").agg(pl.col("_rev").max().alias("_last"))
    joined = frame.join(last, on=["_node", "_period"], how="left", maintain_order="left")
    return joined.filter(pl.col("_rev") == pl.col("_last")).drop("_last")


def current_rows(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The last of several versions of one key in a delivery, bad rows all kept: what a source table holds after it."""
    bad = frame.filter(pl.col("_bad").is_not_null())
    good = frame.filter(pl.col("_bad").is_null())
    last = good.sort(table.cursor, maintain_order=True).unique(list(table.key), keep="last", maintain_order=True)
    return pl.concat([last, bad])


def read_meta(root: Path) -> Meta:
    path = root / "province.json"
    if not path.is_file():
        raise ProvinceError(f"no province in {root}: run `python -m simulator generate --state {root}` first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = Meta(**content)
    except (ValueError, TypeError) as error:
        raise ProvinceError(f"{path} is not the book of a province: {error}") from error
    if found.format != FORMAT:
        raise ProvinceError(
            f"{path} is of format {found.format}, this simulator writes {FORMAT}: remove {root} and generate again"
        )
    return found


def save_meta(root: Path, meta: Meta) -> None:
    write_atomically(root / "province.json", json.dumps(asdict(meta), indent=1))


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.touch(mode=mode)
    partial.chmod(mode)
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read_json(path: Path) -> Mapping[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def number_of(night: date) -> int:
    """2024-08-13 -> 20240813."""
    return int(night.strftime("%Y%m%d"))


def date_of(number: int) -> date:
    return date(number // 10_000, number // 100 % 100, number % 100)


def day_of(night: date) -> int:
    """Days since 1970."""
    return (night - EPOCH).days


def clock_after(night: date) -> str:
    """What the sources' clock shows once a night is over: one o'clock of the next morning, yyyyMMddHHmmss."""
    return (night + timedelta(days=1)).strftime("%Y%m%d") + "010000"
