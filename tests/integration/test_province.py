"""Whole nights of the whole fleet, without Airflow: 115 nodes, all connector kinds, another seed than the demo's."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from psycopg import Connection
from tests.conftest import Warehouse
from tests.support.bi_checks import (
    assert_every_view_and_column_is_described,
    assert_joins_of_the_star_schema_meet,
    assert_no_query_fails_while_the_live_slot_flips,
    assert_red_flags_equal_books,
    assert_sample_queries_answer,
)
from tests.support.checker import assert_marts_equal_books, assert_nothing_lost, assert_reads_equal_books
from tests.support.province import served

from simulator import Province
from yingshang import publish
from yingshang.cli import night as night_command
from yingshang.settings import settings

SEED = 20260815
MARTS = ("dim_project", "fct_transaction", "fct_transaction_event", "fct_bid", "fct_contract")


@pytest.fixture
def province(tmp_path: Path, warehouse: Warehouse) -> Iterator[Province]:
    with served(Province(tmp_path / "province", seed=SEED, scale=0.01), warehouse) as running:
        yield running


def run_night(night: str) -> None:
    night_command.command(night=date.fromisoformat(night), parallel=2, full=False)


@pytest.mark.timeout(1200)
def test_nights_of_115_nodes_equal_the_books_and_one_read_again_changes_no_row(
    warehouse: Warehouse, province: Province
) -> None:
    """But for rows that the sources have only now back-dated into a recorded window: those are found, and added."""
    truth = province.state / "truth"
    run_night("2024-08-13")
    with warehouse.connect("bi_reader") as reader, warehouse.connect("owner") as owner:
        assert_marts_equal_books(reader, truth / "2024-08-13.csv")
        assert_nothing_lost(owner)
        run = owner.execute("select run_id from ops.night_run").fetchone()
        assert run is not None
        assert_reads_equal_books(owner, run[0], truth / "2024-08-13_reads.csv")
    for night in ("2024-08-14", "2024-08-15"):
        province.advance()
        run_night(night)
    with warehouse.connect("bi_reader") as reader, warehouse.connect("owner") as owner:
        assert_marts_equal_books(reader, truth / "2024-08-15.csv")
        assert_nothing_lost(owner)
        assert_red_flags_equal_books(reader, province)
        assert_every_view_and_column_is_described(reader)
        assert_sample_queries_answer(reader)
        assert_joins_of_the_star_schema_meet(reader)
        assert_no_query_fails_while_the_live_slot_flips()
        arrived = owner.execute(
            "select count(distinct p.node_code) from ops.provision_run p join ops.night_run n using (run_id)"
            " where n.night = '2024-08-15' and p.outcome in ('loaded', 'nothing_to_send')"
        ).fetchone()
        assert arrived == (115,)
        _assert_a_file_per_batch(owner)

    # the sources have moved on; the night of the 14th is read again by its recorded bounds, and everything built again
    province.advance()
    back_dated = _back_dated_projects(province)
    before = fingerprints(warehouse, apart_from=back_dated)
    run_night("2024-08-14")
    publication = _publish_again(warehouse)
    assert publication == "2024-08-15"
    assert fingerprints(warehouse, apart_from=back_dated) == before

    run_night("2024-08-16")
    with warehouse.connect("bi_reader") as reader, warehouse.connect("owner") as owner:
        assert_marts_equal_books(reader, province.state / "truth" / "2024-08-16.csv")
        assert_nothing_lost(owner)


def _back_dated_projects(province: Province) -> list[str]:
    """Projects with a record that came last night with a cursor older than what its node had shown before."""
    folder = province.state / "books" / "trading" / f"{province.night:%Y%m%d}"
    records = pl.concat(
        [pl.read_parquet(file, columns=["TENDER_PROJECT_CODE", "_kind"]) for file in folder.glob("*.parquet")]
    )
    found = records.filter(pl.col("_kind") == "late_cursor")["TENDER_PROJECT_CODE"].unique().to_list()
    assert found
    return found


def _publish_again(warehouse: Warehouse) -> str:
    """Build and publish what is admitted now, for the night that is published."""
    with warehouse.connect("owner") as owner:
        row = owner.execute("select p.night from ops.live l join ops.publication p using (publication_id)").fetchone()
        assert row is not None
    built = publish.build(row[0], "cli:again")
    publish.audit(built.build_id)
    return str(publish.publish(built.build_id, "cli:again").night)


def fingerprints(warehouse: Warehouse, apart_from: list[str]) -> dict[str, tuple[int, str]]:
    """Rows and a hash of all of them per mart, some projects apart; so are slot, build and the version's batch."""
    found = {}
    with warehouse.connect("bi_reader") as reader:
        for mart in MARTS:
            row = reader.execute(
                f"select count(*), sum(hashtextextended((to_jsonb(m) - '_slot' - '_build_id' - 'source_batch_id'"
                f" - 'source_row')::text, 0))::text from marts.{mart} m"
                " where not coalesce(project_code = any(%s), false)",
                (apart_from,),
            ).fetchone()
            assert row is not None
            found[mart] = (row[0], row[1])
    return found


def _assert_a_file_per_batch(owner: Connection) -> None:
    uris = [row[0] for row in owner.execute("select landing_uri from ops.batch where raw_rows > 0").fetchall()]
    assert len(uris) > 700
    assert len(set(uris)) == len(uris)
    root = Path(settings().landing.removeprefix("file://"))
    files = {path.name for path in root.rglob("*.parquet")}
    assert {Path(uri).name for uri in uris} <= files
