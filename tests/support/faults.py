"""A scene for faults, and the one checker that every fault test ends with.

The scene is a small fleet of hand-made sources that publishes nights for real: connectors, landing, COPY, ledger,
slots. What is true is what lies in the sources, never what the program says.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.request import url2pathname

import psycopg
import pyarrow.parquet as pq
from psycopg import sql
from tests.conftest import Warehouse
from tests.support.checker import assert_nothing_lost
from tests.support.faults_marts import MARTS, lot_publisher
from tests.support.faults_table import Cost
from tests.support.ingest import NIGHT, Fleet, PgSource, admit_all, lot, pg_source

from localpg import Cluster
from yingshang.errors import YingshangError
from yingshang.ingest import ingest_node, open_night
from yingshang.publish.machine import Publisher
from yingshang.settings import settings
from yingshang.warehouse import PgConnection, ledger

VICTIM, NEIGHBOUR = "210100", "210200"
Lot: TypeAlias = tuple[str, str, str | None, Decimal | None, str]
"""node, lot, name, price as written, cursor"""


def lot_of(node: str, row: Mapping[str, Any]) -> Lot:
    """A delivered row as readers are to see it."""
    price = row["CONTRACT_RECKON_PRICE"]
    return (
        node,
        str(row["BID_SECTION_CODE"]),
        row["BID_SECTION_NAME"],
        None if price in (None, "") else Decimal(str(price)).normalize(),
        str(row["DATA_TIMESTAMP"]),
    )


class Source(Protocol):
    """A node's source, which knows what is true of it now."""

    def truth(self) -> Counter[Lot]: ...


@dataclass
class Rows:
    """A source whose truth the test keeps by hand: the last good version of each lot."""

    node: str
    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def now(self, *rows: Mapping[str, Any]) -> None:
        """These versions are the newest of their lots."""
        self.rows |= {str(row["BID_SECTION_CODE"]): row for row in rows}

    def gone(self, *rows: Mapping[str, Any]) -> None:
        for row in rows:
            self.rows.pop(str(row["BID_SECTION_CODE"]), None)

    def truth(self) -> Counter[Lot]:
        return Counter(lot_of(self.node, row) for row in self.rows.values())


@dataclass
class PgNode:
    """A node with a database of its own."""

    node: str
    source: PgSource
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, rows: int, stamp: str, **other: Any) -> None:
        """New lots."""
        self.source.insert("lot", *(lot(next(self.numbers), node=self.node, stamp=stamp, **other) for _ in range(rows)))

    def truth(self) -> Counter[Lot]:
        rows = self.source.execute(
            "select bid_section_code, bid_section_name, contract_reckon_price, data_timestamp from bid_section"
            " where is_delete in ('0', 'F') and data_timestamp < '2090'"
        )
        return Counter(
            (self.node, code, name, None if price is None else Decimal(price).normalize(), stamp)
            for code, name, price, stamp in rows
        )


class Scene(contextlib.ExitStack):
    """A fleet of a node to strike (:data:`VICTIM`) and a neighbour, night after night."""

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        super().__init__()
        self.warehouse, self.folder = warehouse, folder
        self.fleet = Fleet(folder / "registry")
        self.sources: dict[str, Source] = {}
        self.night = NIGHT - dt.timedelta(days=1)
        self.run_id = ""
        self.publisher: Callable[[], Publisher] = lot_publisher
        self.published: Counter[Lot] = Counter()
        """What readers are to see now."""

    # --- sources

    def postgres(self, node: str, cluster: Cluster, rows: int = 30) -> PgNode:
        """Add a node with PostgreSQL."""
        name = f"front_{node}_{self.warehouse.dbname}"
        source = self.enter_context(pg_source(cluster, name, "lot", clock=self.clock()))
        made = PgNode(node, source)
        made.add(rows, f"{NIGHT:%Y%m%d}100000")
        return self.add(made, "postgres", source.dsn)

    def pg(self, node: str = VICTIM) -> PgNode:
        """A node that was added as one with PostgreSQL."""
        source = self.sources[node]
        assert isinstance(source, PgNode)
        return source

    def drops(self, node: str = VICTIM, form: str = "csv-gb18030") -> tuple[Path, Rows]:
        """Add a node that sends files into a folder."""
        folder = self.folder / f"outbox_{node}"
        folder.mkdir()
        return folder, self.add(Rows(node), "files", folder.as_uri(), form)

    def add(self, source: Any, connector: str, uri: str, form: str = "") -> Any:
        """Add a source to the fleet."""
        self.sources[source.node] = source
        self.fleet.add(source.node, connector, "lot", form=form)
        self.warehouse.add_connections({f"trading_{source.node}": uri})
        return source

    # --- nights

    def clock(self) -> str:
        """What the sources' clocks say after the night: half past midnight."""
        return f"{max(self.night, NIGHT) + dt.timedelta(days=1):%Y%m%d}003000"

    def stamp(self, time: str = "120000") -> str:
        """A cursor of the night."""
        return f"{self.night:%Y%m%d}{time}"

    def open(self) -> str:
        """The next night begins; returns its run."""
        self.night += dt.timedelta(days=1)
        self.run_id = f"faults:{self.night}"
        for source in self.sources.values():
            if isinstance(source, PgNode):
                with contextlib.suppress(psycopg.OperationalError):
                    source.source.set_clock(self.clock())
        open_night(self.night, self.run_id)
        return self.run_id

    def ingest(self, *nodes: str) -> dict[str, YingshangError]:
        """Ingest nodes (default all) in this process; returns the errors of those that failed."""
        failed: dict[str, YingshangError] = {}
        for node in nodes or tuple(self.sources):
            try:
                ingest_node("trading", node, self.run_id)
            except YingshangError as error:
                failed[node] = error
        return failed

    def publish(self, *, without: Iterable[str] = ()) -> None:
        """Admit what is loaded, build, audit, publish. Nodes in ``without`` are to be seen as they were."""
        admit_all()
        self.publish_admitted(without=without)

    def publish_admitted(self, *, without: Iterable[str] = ()) -> None:
        """As :meth:`publish`, of what the landing gate has admitted and nothing else."""
        publisher = self.publisher()
        built = publisher.build(self.night, self.run_id)
        publisher.audit(built.build_id)
        publisher.publish(built.build_id, self.run_id)
        self.now_published(without=without)

    def now_published(self, *, without: Iterable[str] = ()) -> None:
        """Readers are to see the sources as they are now, but the nodes in ``without`` as they were seen before."""
        kept = set(without)
        fresh = sum((source.truth() for node, source in self.sources.items() if node not in kept), Counter())
        self.published = fresh + Counter({one: n for one, n in self.published.items() if one[0] in kept})

    def whole_night(self) -> None:
        """A night without fault."""
        self.open()
        assert self.ingest() == {}
        self.publish()
        self.check()

    # --- what must hold

    def check(self) -> None:
        """I1 to I7 as far as they can be seen at any moment, whatever has just happened."""
        seen = self.seen()
        assert seen == self.published, _difference(seen, self.published)
        with self.warehouse.connect("owner") as owner:
            assert_nothing_lost(owner)
            assert_batches_are_landed(owner)
            assert_watermarks(owner)
            assert_events_are_numbered(owner)

    def seen(self) -> Counter[Lot]:
        """What a BI tool sees, in one transaction: every mart of one publication."""
        with self.warehouse.connect("bi_reader") as reader:
            reader.execute("set transaction isolation level repeatable read")
            ids = {
                row
                for mart in MARTS
                for row in reader.execute(f"select distinct _build_id from marts.{mart}").fetchall()
            }
            assert ids == set(reader.execute("select build_id from marts.publication").fetchall()), "a mixture"
            rows = reader.execute(
                "select node_code, lot_code, lot_name, reckon_price, data_timestamp from marts.fct_lot"
            ).fetchall()
            sums = reader.execute("select node_code, lots from marts.rpt_node").fetchall()
        assert dict(sums) == Counter(row[0] for row in rows), "marts of different builds"
        return Counter((node, code, name, p if p is None else p.normalize(), at) for node, code, name, p, at in rows)

    def cost(self) -> Cost:
        """What readers see now beside what the sources hold now."""
        truth = sum((source.truth() for source in self.sources.values()), Counter())
        seen = self.seen()
        return Cost(lost=(truth - seen).total(), doubled=(seen - truth).total())

    def missing(self) -> list[str]:
        """The nodes that the publication names as missing."""
        with self.warehouse.connect("bi_reader") as reader:
            row = reader.execute("select missing_nodes from marts.publication").fetchone()
        assert row is not None
        return list(row[0].get("trading", []))

    def ask(self, query: str | sql.Composed, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the warehouse, seen by its administrator."""
        with self.warehouse.admin() as admin:
            return admin.execute(query, values or None).fetchall()

    def batches(self, node: str = VICTIM) -> list[tuple[Any, ...]]:
        """source, raw, quarantined, duplicate rows of each batch of tonight's run."""
        return self.ask(
            "select source_rows, raw_rows, quarantined_rows, duplicate_rows from ops.batch"
            " where run_id = %s and node_code = %s order by batch_id",
            self.run_id,
            node,
        )

    @contextlib.contextmanager
    def held(self, statement: str, dsn: str | None = None) -> Iterator[None]:
        """Hold the locks that a statement takes: whoever needs them waits, and can be met there."""
        with psycopg.connect(dsn or self.warehouse.dsn) as holder:
            holder.execute(statement)
            yield
            holder.rollback()

    def waits(self, query: str, dsn: str | None = None) -> Callable[[], bool]:
        """Whether a back end waits for a lock with a statement like ``query``."""
        return self.sees(
            "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            " and query ilike %s limit 1",
            query,
            dsn=dsn,
        )

    def sees(self, query: str, *values: Any, dsn: str | None = None) -> Callable[[], bool]:
        """Whether a query has a row; one connection asks, again and again."""
        watcher = self.enter_context(contextlib.closing(psycopg.connect(dsn or self.warehouse.dsn, autocommit=True)))
        return lambda: watcher.execute(query, values or None).fetchone() is not None

    def orphans_end(self) -> None:
        """Wait until the back ends of killed processes are gone: they look for their clients each second."""
        names = "application_name like 'yingshang%' and datname = current_database()"
        deadline = time.monotonic() + 60
        with self.warehouse.admin() as admin:
            while admin.execute(f"select from pg_stat_activity where {names} limit 1").fetchone():
                assert time.monotonic() < deadline, "a back end outlives its client"
                time.sleep(0.01)


# --- the checker's parts ----------------------------------------------------------------------------------------------


def assert_batches_are_landed(owner: PgConnection) -> None:
    """Each batch with rows has its own file, with the bytes and rows that the ledger says."""
    batches = owner.execute(
        "select batch_id, raw_rows, landing_uri, landing_bytes, landing_sha256 from ops.batch"
    ).fetchall()
    uris = [uri for _, _, uri, _, _ in batches if uri]
    assert len(uris) == len(set(uris)), "two batches with one file"
    for batch_id, rows, uri, size, digest in batches:
        assert (uri is None) == (rows == 0), (batch_id, rows, uri)
        if uri is None:
            continue
        content = Path(url2pathname(uri.removeprefix("file://"))).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest), uri
        assert pq.read_metadata(url2pathname(uri.removeprefix("file://"))).num_rows == rows, uri


def assert_watermarks(owner: PgConnection) -> None:
    """No provision is believed to have come further than the rows that are committed.

    Rows in quarantine have been read, too: where there are any, the source's clock is the limit.
    """
    provisions = owner.execute(
        "select system, dataset, node_code, max(source_clock), sum(quarantined_rows) from ops.batch"
        " where kind in ('window', 'reload') group by 1, 2, 3"
    ).fetchall()
    for system, dataset, node, clock, quarantined in provisions:
        reached = ledger.last_admitted_window(owner, system, dataset, node)
        if reached is None:
            continue
        row = owner.execute(
            f"select max(r.data_timestamp) from raw.{system}__{dataset} as r inner join ops.batch as b"
            " on b.batch_id = r._batch_id where b.node_code = %s",
            (node,),
        ).fetchone()
        assert row is not None
        limit = clock if quarantined else min(str(row[0]), clock)
        assert reached.cursor_high <= limit, f"{system}.{dataset} of {node}: {reached} beyond {limit}"


def assert_events_are_numbered(owner: PgConnection) -> None:
    """Events are numbered without gap, and a batch is never admitted twice over."""
    rows = owner.execute("select seq, batch_id, event from ops.batch_event order by seq").fetchall()
    assert [seq for seq, _, _ in rows] == list(range(1, len(rows) + 1))
    last: dict[int, str] = {}
    for _, batch_id, event in rows:
        assert last.get(batch_id) != event, f"batch {batch_id} is {event} twice in a row"
        last[batch_id] = event


def half_written() -> list[Path]:
    """Landing files under their temporary names."""
    return list(settings().state.rglob("*.partial"))


def _difference(seen: Counter[Lot], expected: Counter[Lot]) -> str:
    lost, more = expected - seen, seen - expected
    return (
        f"readers miss {lost.total()} rows and see {more.total()} that are not so, e.g. "
        f"{next(iter(lost), None)} and {next(iter(more), None)}"
    )
