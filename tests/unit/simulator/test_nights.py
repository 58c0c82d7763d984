"""What a night brings: every kind of change, in cursors that a reader with two hours of overlap finds."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from tests.unit.simulator.conftest import written

from simulator.books import Books
from simulator.fleet import all_nodes, fleet
from simulator.trading.schema import TRADING
from simulator.truth import drops_of

NIGHTS = (20240814, 20240815, 20240816)
BOTH = pytest.mark.parametrize("size", ["whole", "tiny"])
FILES = [node.index for node in all_nodes() if node.sends_files]


@pytest.fixture
def books(request: pytest.FixtureRequest, size: str) -> Books:
    return request.getfixturevalue(size)


def delivered(books: Books, dataset: str, night: int) -> pl.DataFrame:
    return books.delivered(dataset, night).filter(pl.col("_bad").is_null())


@BOTH
@pytest.mark.parametrize("night", NIGHTS)
def test_every_kind_of_change_occurs(books: Books, night: int) -> None:
    kinds = set()
    for table in TRADING.tables:
        found = set(books.delivered(table.dataset, night)["_kind"])
        assert {"correction", "resent"} <= found, table.dataset
        kinds |= found
    wanted = {
        "new",
        "late_parent",
        "late_cursor",
        "correction",
        "resent",
        "tombstone",
        "revived",
        "copy",
        "older",
        "bad",
    }
    assert kinds >= wanted - ({"late_parent"} if books.meta.profile else set())


@BOTH
def test_withdrawn_notices_and_soft_deletes_come_as_later_versions(books: Books) -> None:
    for dataset in TRADING.datasets:
        key, before = list(TRADING.table(dataset).key), books.latest(dataset, 20240813)
        gone = delivered(books, dataset, 20240814).filter(pl.col("_kind") == "tombstone")
        joined = gone.join(before, on=key, suffix="_before")
        assert joined.height == gone.height
        assert (joined["DATA_TIMESTAMP"] > joined["DATA_TIMESTAMP_before"]).all()
        assert joined["_deleted"].all()
        assert not joined["_deleted_before"].any()
    assert delivered(books, "notice", 20240814).filter(pl.col("_kind") == "tombstone").height >= 1


@BOTH
def test_a_lot_moves_region_month_and_amount(books: Books) -> None:
    moved = set()
    for night in NIGHTS:
        before = books.latest("lot", night - 1)
        old = books.rows("lot", before).select("BID_SECTION_CODE", "REGION_CODE", "CREATE_TIME", "_milli")
        changed = delivered(books, "lot", night).filter(pl.col("_kind") == "correction")
        for row in changed.join(old, on="BID_SECTION_CODE", suffix="_old").to_dicts():
            moved.add(
                (
                    row["REGION_CODE"] != row["REGION_CODE_old"],
                    row["CREATE_TIME"][:6] != row["CREATE_TIME_old"][:6],
                    row["_milli"] != row["_milli_old"],
                )
            )
            assert row["REGION_CODE"][:4] == row["REGION_CODE_old"][:4] or row["_node"] == 0
    assert (True, True, True) in moved
    assert {(True, False, False), (False, True, False), (False, False, True)} & moved


@BOTH
def test_resent_records_differ_in_the_cursor_alone(books: Books) -> None:
    for table in TRADING.tables:
        before = books.rows(table.dataset, books.latest(table.dataset, 20240813))
        resent = delivered(books, table.dataset, 20240814).filter(pl.col("_kind") == "resent")
        same = [name for name in table.columns if name != table.cursor]
        assert resent.join(before, on=same, how="semi", nulls_equal=True).height == resent.height > 0


@BOTH
def test_parents_arrive_after_their_children(books: Books) -> None:
    late = 0
    for night in NIGHTS:
        parents = delivered(books, "project", night).filter(pl.col("_kind") == "late_parent")
        lots = books.latest("lot", night - 1).filter(pl.col("_p").is_in(parents["_p"].implode()))
        late += lots["_p"].n_unique()
    assert late >= 1


@BOTH
def test_cursors_lie_in_the_business_date_or_just_before_the_greatest_one_shown(books: Books) -> None:
    late = 0
    for night in NIGHTS:
        for table in TRADING.tables:
            rows = delivered(books, table.dataset, night).filter(~pl.col("_node").is_in(FILES))
            shown = _shown(books, table.dataset, night)
            for row in rows.select("_node", "_kind", "DATA_TIMESTAMP").iter_rows(named=True):
                stamp = row["DATA_TIMESTAMP"]
                if row["_kind"] != "late_cursor":
                    assert stamp.startswith(str(night)), row
                    continue
                late += 1
                last = datetime.strptime(shown[row["_node"]], "%Y%m%d%H%M%S")  # noqa: DTZ007
                assert last - timedelta(hours=2) < datetime.strptime(stamp, "%Y%m%d%H%M%S") < last  # noqa: DTZ007
    assert late >= 6


def _shown(books: Books, dataset: str, night: int) -> dict[int, str]:
    """The greatest cursor that each node had shown before the night, future ones apart."""
    earlier = [books.delivered(dataset, n, ["_node", "DATA_TIMESTAMP"]) for n in books.nights() if n < night]
    rows = pl.concat(earlier).filter(pl.col("DATA_TIMESTAMP") < "2090")
    return dict(rows.group_by("_node").agg(pl.col("DATA_TIMESTAMP").max()).iter_rows())


@BOTH
def test_versions_of_a_key_never_share_a_cursor_unless_they_are_copies(books: Books) -> None:
    for table in TRADING.tables:
        rows = pl.concat([delivered(books, table.dataset, n) for n in books.nights()])
        rows = rows.filter(~pl.col("_kind").is_in(["copy", "resent_drop"]))
        assert rows.select(*table.key, table.cursor).is_unique().all(), table.dataset


@BOTH
def test_a_drop_comes_late_and_one_is_sent_again_with_other_content(books: Books) -> None:
    first = books.plan(20240814)
    assert len(first.late_nodes) == 1
    late = first.late_nodes[0]
    members = fleet(books.meta.profile)
    assert not [d for d in drops_of(books, members, 20240814) if d.node == late]
    arrived = [d for d in drops_of(books, members, 20240815) if d.node == late and d.period == 20240814]
    assert len(arrived) == 7
    for dataset in TRADING.datasets:
        assert late not in set(books.delivered(dataset, 20240814)["_node"])
    assert any(
        late in set(books.delivered(d, 20240815).filter(pl.col("_period") == 20240814)["_node"])
        for d in TRADING.datasets
    )
    ((node, dataset, period),) = books.plan(20240815).revised
    assert period == 20240814
    key = list(TRADING.table(dataset).key)
    one = books.delivered(dataset, 20240814).filter((pl.col("_node") == node) & (pl.col("_period") == period))
    two = books.delivered(dataset, 20240815).filter((pl.col("_node") == node) & (pl.col("_rev") == 2))
    gone = one.filter(pl.col("_bad").is_null()).join(two, on=key, how="anti").select(key).unique()
    assert gone.height == 1
    assert books.latest(dataset, 20240814).join(gone, on=key, how="semi").height == 1
    assert books.latest(dataset, 20240815).join(gone, on=key, how="semi").height == 0
    assert (two["_kind"] == "correction").sum() == 1


def test_a_night_changes_about_three_records_of_a_thousand(tmp_path_factory: pytest.TempPathFactory) -> None:
    books = written(tmp_path_factory.mktemp("larger"), scale=0.1, nights=1)
    rows = sum(books.latest(d).height for d in TRADING.datasets)
    changed = sum(delivered(books, d, 20240814).height for d in TRADING.datasets)
    assert 0.002 < changed / rows < 0.005
