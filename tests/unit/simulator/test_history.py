"""The history of a province holds every node, type and trap, at every size."""

import re
from pathlib import Path

import polars as pl
import pytest
from stdnum.iso7064 import mod_37_2
from tests.unit.simulator.conftest import written

from simulator.books import Books
from simulator.fleet import all_nodes, fleet, read_csv
from simulator.hotline.schema import HOTLINE
from simulator.sunshine.schema import SUNSHINE
from simulator.supervision.schema import SUPERVISION
from simulator.trading.schema import TRADING

BASE = 20240813
NODE = {node.index: node for node in all_nodes()}
BOTH = pytest.mark.parametrize("size", ["whole", "tiny"])


@pytest.fixture
def books(request: pytest.FixtureRequest, size: str) -> Books:
    return request.getfixturevalue(size)


def history(books: Books, dataset: str) -> pl.DataFrame:
    return books.delivered(dataset, BASE)


def good(books: Books, dataset: str) -> pl.DataFrame:
    return history(books, dataset).filter(pl.col("_bad").is_null())


def connectors(frame: pl.DataFrame) -> set[str]:
    return {NODE[index].connector for index in frame["_node"].unique()}


def test_the_fleet_is_that_of_the_province() -> None:
    kinds: dict[tuple[str, str], int] = {}
    for node in all_nodes():
        kinds[node.level, node.connector] = kinds.get((node.level, node.connector), 0) + 1
    assert kinds == {
        ("province", "postgres"): 1,
        ("city", "postgres"): 8,
        ("city", "http"): 6,
        ("county", "postgres"): 40,
        ("county", "csv"): 30,
        ("county", "xlsx"): 20,
        ("county", "xml"): 10,
    }
    assert {node.connector for node in fleet("tiny").nodes} == {"postgres", "http", "csv", "xlsx", "xml"}
    assert [node.code for node in all_nodes() if node.name == "铁西区"] == ["210106", "210303"]


def type_codes() -> set[str]:
    return {row["type_code"] for row in read_csv("transaction_types.csv")}


@BOTH
def test_every_node_and_every_type_trades(books: Books) -> None:
    lots = good(books, "lot").filter(~pl.col("_deleted"))
    assert set(lots["_node"]) == set(fleet(books.meta.profile).indexes)
    assert set(lots["_type"]) - {"unknown"} == type_codes()
    assert len(type_codes()) == 38


def test_the_sizes_are_the_published_ones_times_the_scale(whole: Books) -> None:
    published = {"lot": 1200, "notice": 3000, "bid": 5000, "result": 1100, "contract": 700, "performance": 300}
    for dataset, expected in published.items():
        keys = good(whole, dataset).select(TRADING.table(dataset).key).n_unique()
        assert 0.85 * expected < keys < 1.15 * expected, dataset


@BOTH
def test_all_lies_between_2020_and_the_first_night(books: Books) -> None:
    for table in TRADING.tables:
        cursor = good(books, table.dataset)["DATA_TIMESTAMP"]
        assert cursor.str.len_bytes().unique().to_list() == [14]
        assert cursor.min() >= "20200101"
        assert cursor.max() < "20240814"
        assert good(books, table.dataset)[table.event].str.slice(0, 8).max() <= "20240813"


@BOTH
def test_keys_are_unique_and_name_their_node(books: Books) -> None:
    for table in TRADING.tables:
        rows = good(books, table.dataset).filter(~pl.col("_kind").is_in(["copy", "older"]))
        assert rows.select(table.key).is_unique().all(), table.dataset
        node = pl.Series([NODE[i].code for i in rows["_node"]], dtype=pl.String)
        assert (rows["TENDER_PROJECT_CODE"].str.slice(1, 6) == node).all()
        assert rows["TENDER_PROJECT_CODE"].str.len_bytes().unique().to_list() == [20]
    lots = good(books, "lot")
    assert (lots["BID_SECTION_CODE"].str.slice(0, 20) == lots["TENDER_PROJECT_CODE"]).all()
    assert lots["BID_SECTION_CODE"].str.len_bytes().unique().to_list() == [23]
    assert good(books, "project")["PROJECT_CODE"].str.len_bytes().unique().to_list() == [17]


@BOTH
def test_deal_codes_are_valid_and_unique(books: Books) -> None:
    lots = good(books, "lot").unique("BID_SECTION_CODE")["UNIFIED_DEAL_CODE"]
    assert lots.is_unique().all()
    for code in lots:
        assert re.fullmatch(r"[A-Z]\d\d-[0-9A-Z]{18}-\d{8}-\d{6}-[0-9A-Z*]", code)
        assert mod_37_2.is_valid(code.replace("-", ""))


@BOTH
def test_amounts_are_in_yuan_here_and_in_ten_thousands_there(books: Books) -> None:
    for table in TRADING.tables:
        if table.price is None:
            continue
        rows = good(books, table.dataset)
        assert set(rows["PRICE_UNIT"]) == {"0", "1"}
        assert set(rows.filter(pl.col("_node").is_in(of("xlsx")))["PRICE_UNIT"]) <= {"1"}
        shown = rows[table.price].cast(pl.Decimal(30, 7))
        factor = pl.when(rows["PRICE_UNIT"] == "1").then(10_000).otherwise(1).cast(pl.Decimal(30, 7))
        yuan = rows.select(shown.alias("v") * factor * 1000)["v"].cast(pl.Int64)
        assert (yuan == rows["_milli"]).all()
        assert shown.is_null().equals(rows["_milli"].is_null())


def of(connector: str) -> list[int]:
    return [node.index for node in all_nodes() if node.connector == connector]


@BOTH
def test_a_price_that_is_a_rate_or_a_unit_price_is_no_amount(books: Books) -> None:
    for dataset, amount, other in (
        ("bid", "BID_PRICE", "OTHER_BID_PRICE"),
        ("result", "BID_AMOUNT", "OTHER_BID_AMOUNT"),
    ):
        rows = good(books, dataset)
        assert set(rows["PRICE_FORM_CODE"]) == {"1", "2", "3", "9"}
        priced = rows["PRICE_FORM_CODE"] == "1"
        assert rows[amount].is_not_null().equals(priced.alias(amount))
        assert rows[other].is_null().equals(priced.alias(other))


@BOTH
def test_flags_are_written_0_1_here_and_f_t_there(books: Books) -> None:
    seen = set()
    for (node,), rows in good(books, "bid").group_by("_node"):
        letters = set(NODE[int(str(node))].flags)
        assert set(rows["IS_LOST"]) <= letters
        assert set(rows["IS_DELETE"]) <= letters
        seen |= set(rows["IS_LOST"]) | set(rows["IS_DELETE"])
    assert seen == {"0", "1", "F", "T"}


@BOTH
def test_dates_are_long_and_short(books: Books) -> None:
    for table in TRADING.tables:
        assert set(good(books, table.dataset)[table.event].str.len_bytes()) == {8, 14}, table.dataset


@BOTH
def test_notices_name_several_lots_and_have_pairs_that_map_to_no_stage(books: Books) -> None:
    notices = good(books, "notice")
    assert notices["BID_SECTION_CODES"].str.contains(";").any()
    assert (
        notices["BID_SECTION_CODES"].str.count_matches(";") == notices["UNIFIED_DEAL_CODES"].str.count_matches(";")
    ).all()
    assert notices["NOTICE_MEDIA"].str.contains(";").any()
    assert set(notices["BULLETIN_TYPE"]) == set("1234567")
    assert set(notices["NOTICE_NATURE"]) == set("123")
    classes = {row["type_code"]: row["national_class"] for row in read_csv("transaction_types.csv")}
    of_performance = notices.filter((pl.col("BULLETIN_TYPE") == "6") & (pl.col("_type") != "unknown"))
    assert {classes[code] for code in of_performance["_type"]} - {"01", "02"}


@BOTH
def test_amounts_over_3_billion_occur_and_one_of_exactly_3_billion(books: Books) -> None:
    milli = good(books, "lot")["_milli"]
    assert 1 <= (milli > 3_000_000_000_000).sum() < len(milli) * 0.02
    assert (milli == 3_000_000_000_000).sum() == 1


@BOTH
def test_some_amounts_have_half_a_cent(books: Books) -> None:
    assert (good(books, "bid")["_milli"] % 10 == 5).any()


@BOTH
def test_unknown_codes_and_regional_meanings_occur(books: Books) -> None:
    lots = good(books, "lot")
    source = lots["UNIFIED_DEAL_CODE"].str.slice(0, 3)
    city = pl.Series([NODE[i].city for i in lots["_node"]])
    day = lots["UNIFIED_DEAL_CODE"].str.slice(23, 8)
    assert set(lots.filter(source == "Z99")["_type"]) == {"unknown"}
    assert set(lots.filter(source == "E09")["_type"]) == {"0506"}
    assert set(city.filter(source == "E09")) == {"210200"}
    assert not ((source == "E06") & (city == "210200")).any()
    anshan = (source == "A06") & (city == "210300")
    assert set(lots.filter(anshan & (day < "20230101"))["_type"]) == {"0105"}
    assert set(lots.filter(anshan & (day >= "20230101"))["_type"]) == {"0106"}
    assert not ((source == "A05") & (city == "210300") & (day < "20230101")).any()
    assert ((source == "A05") & (city == "210300")).any()


@BOTH
def test_children_without_parents_occur(books: Books) -> None:
    projects = good(books, "project").select("TENDER_PROJECT_CODE")
    lots = good(books, "lot")
    assert 0 < lots.join(projects, on="TENDER_PROJECT_CODE", how="anti").height < lots.height * 0.1
    bids = good(books, "bid")
    assert 0 < bids.join(lots.select("BID_SECTION_CODE"), on="BID_SECTION_CODE", how="anti").height < bids.height * 0.1


@BOTH
def test_bidders_come_from_other_provinces(books: Books) -> None:
    regions = good(books, "bid")["BIDDER_REGION_CODE"]
    assert 0.1 < (regions.str.slice(0, 2) != "21").mean() < 0.5


@BOTH
def test_withdrawn_notices_and_deleted_records_occur(books: Books) -> None:
    for table in TRADING.tables:
        rows = good(books, table.dataset)
        gone = rows.filter(pl.col("_deleted"))
        assert gone.height >= 1, table.dataset
        assert set(gone["IS_DELETE"]) <= {"1", "T"}
        assert set(rows.filter(~pl.col("_deleted"))["IS_DELETE"]) <= {"0", "F"}


@BOTH
def test_file_counties_send_rows_twice_and_older_versions_after_the_present_one(books: Books) -> None:
    rows = pl.concat([good(books, t.dataset).select("_kind", "_node") for t in TRADING.tables])
    for kind in ("copy", "older"):
        found = rows.filter(pl.col("_kind") == kind)
        assert found.height >= 5
        assert connectors(found) <= {"csv", "xlsx", "xml"}


@BOTH
def test_a_few_rows_break_the_contract_under_keys_of_their_own(books: Books) -> None:
    reasons = set()
    for table in TRADING.tables:
        rows = history(books, table.dataset)
        bad, fine = rows.filter(pl.col("_bad").is_not_null()), rows.filter(pl.col("_bad").is_null())
        reasons |= set(bad["_bad"])
        assert bad.join(fine, on=table.key, how="semi").is_empty()
        per_node = bad.group_by("_node").len()
        assert per_node["len"].max() <= 3 if bad.height else True
    assert reasons == {
        "impossible_date",
        "missing_key",
        "missing_parent",
        "not_a_number",
        "future_cursor",
        "foreign_region",
    }


def test_the_same_seed_gives_the_same_books_and_drops(whole: Books, tmp_path: Path) -> None:
    again = written(tmp_path)
    for schema in (TRADING, SUPERVISION, HOTLINE, SUNSHINE):
        first, second = Books(whole.root, schema), Books(again.root, schema)
        for dataset in schema.datasets:
            for night in first.nights():
                assert second.delivered(dataset, night).equals(first.delivered(dataset, night)), (dataset, night)
    files = {path.relative_to(whole.root): path.read_bytes() for path in whole.root.glob("sftp/*/outbox/*")}
    assert len(files) > 1000
    assert {path.relative_to(again.root): path.read_bytes() for path in again.root.glob("sftp/*/outbox/*")} == files
    for path in whole.root.glob("truth/*"):
        assert (again.root / "truth" / path.name).read_bytes() == path.read_bytes()


def test_another_seed_gives_another_province(tiny: Books, tmp_path: Path) -> None:
    other = written(tmp_path, seed=2, profile="tiny", nights=0)
    assert not good(other, "lot").equals(good(tiny, "lot"))
    assert (other.root / "truth" / "2024-08-13.csv").read_bytes() != (
        tiny.root / "truth" / "2024-08-13.csv"
    ).read_bytes()
