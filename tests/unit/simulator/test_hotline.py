"""The hotline has its published figures with seed 1, moves its orders on, and holds the mess that cities make."""

import itertools
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from simulator.books import FIRST_NIGHT, Books, Meta, number_of, save_meta
from simulator.fleet import all_nodes, fleet
from simulator.hotline.figures import figures
from simulator.hotline.history import history
from simulator.hotline.nights import next_night
from simulator.hotline.schema import CALLBACK, HOTLINE, WORK_ORDER
from simulator.hotline.words import SUSPENDED, known_words
from simulator.source import Context

BASE = 20240813
NIGHTS = (date(2024, 8, 14), date(2024, 8, 15), date(2024, 8, 16), date(2024, 8, 17))


def context(seed: int = 1, scale: float = 0.02, profile: str | None = None) -> Context:
    return Context(HOTLINE, seed, scale, profile, fleet(profile).of_system(HOTLINE))


def made(root: Path, about: Context, nights: tuple[date, ...] = NIGHTS) -> Books:
    """Books of the hotline alone."""
    books = Books(root, HOTLINE)
    content = history(about)
    books.write(FIRST_NIGHT, content)
    for night in (FIRST_NIGHT, *nights):
        if night != FIRST_NIGHT:
            content = next_night(about, books, night)
            books.write(night, content)
        meta = Meta(about.seed, about.scale, about.profile, night.isoformat(), {"hotline": content.counters})
        save_meta(root, meta)
    return books


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return made(tmp_path_factory.mktemp("hotline"), context())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return made(tmp_path_factory.mktemp("hotline_tiny"), context(scale=0.002, profile="tiny"))


def everything(books: Books, dataset: str) -> pl.DataFrame:
    return pl.concat([books.delivered(dataset, night) for night in books.nights()]).filter(pl.col("_bad").is_null())


def test_666_experts_of_10_departments_have_sat_by_the_first_night_and_nights_move_neither(whole: Books) -> None:
    assert figures(whole, BASE) == {"hotline_experts": 666, "hotline_departments": 10}
    assert all(figures(whole, number_of(night)) == figures(whole, BASE) for night in NIGHTS)


def test_orders_and_callbacks_follow_the_scale() -> None:
    frames = history(context(scale=0.1)).delivered
    assert frames["work_order"].height == pytest.approx(50_000, rel=0.01)
    assert frames["callback"].height == pytest.approx(35_000, rel=0.01)
    assert frames["department"].height == 10
    assert frames["expert_session"].height == 4_000
    assert frames["policy_week"].height == 60


def test_another_seed_has_other_totals_and_meets_them(tmp_path: Path, tiny: Books) -> None:
    other = made(tmp_path, context(seed=5, scale=0.002, profile="tiny"), NIGHTS[:2])
    found = figures(other, BASE)
    assert found == figures(other, 20240815)
    assert found["hotline_experts"] != figures(tiny, BASE)["hotline_experts"]
    assert found["hotline_departments"] != 10


def test_history_and_nights_are_the_same_at_each_call(tmp_path: Path, tiny: Books) -> None:
    again = made(tmp_path, context(scale=0.002, profile="tiny"))
    for dataset in HOTLINE.datasets:
        for night in tiny.nights():
            assert again.delivered(dataset, night).equals(tiny.delivered(dataset, night)), (dataset, night)


def test_each_key_comes_once_in_a_delivery(whole: Books) -> None:
    for table in HOTLINE.tables:
        for night in whole.nights():
            assert whole.delivered(table.dataset, night).select(table.key).drop_nulls().is_unique().all()


def test_cursors_of_a_night_lie_in_it_or_just_before_it(whole: Books) -> None:
    for table in HOTLINE.tables:
        for night in NIGHTS:
            rows = whole.delivered(table.dataset, number_of(night)).filter(pl.col("_bad").is_null())
            usual = rows.filter(pl.col("_kind") != "late_cursor")
            assert usual["DATA_TIMESTAMP"].str.starts_with(f"{night:%Y%m%d}").all(), (table.dataset, night)


def test_orders_move_on_to_the_callback_and_the_mark(whole: Books) -> None:
    latest = whole.rows("work_order", whole.latest("work_order"))
    before = whole.rows("work_order", whole.latest("work_order", BASE))
    moved = before.join(latest, on="ORDER_NO", suffix="_now").filter(pl.col("_kind_now") == "progress")
    assert moved.height > 20
    for old, new, column in ((1, 2, "FIRST_CONTACT_TIME_now"), (3, 4, "CLOSE_TIME_now")):
        step = moved.filter(
            pl.col("STATUS_NAME").is_in(known_words(old)) & pl.col("STATUS_NAME_now").is_in(known_words(new))
        )
        assert step.height > 0
        assert step[column].null_count() == 0
    marked = latest.filter(pl.col("STATUS_NAME").is_in(known_words(5, 6)) & (pl.col("_kind") == "progress"))
    assert marked.height > 0
    assert marked.join(everything(whole, "callback"), on="ORDER_NO", how="semi").height == marked.height


def test_times_of_an_order_follow_each_other_apart_from_marked_mistakes(whole: Books) -> None:
    rows = everything(whole, "work_order")
    mistaken = rows.filter(pl.col("CLOSE_TIME") < pl.col("ACCEPT_TIME"))
    assert 2 <= mistaken.height < 20
    right = rows.filter(~(pl.col("CLOSE_TIME") < pl.col("ACCEPT_TIME")).fill_null(value=False))
    times = ["ACCEPT_TIME", "DISPATCH_TIME", "FIRST_CONTACT_TIME", "CLOSE_TIME"]
    for one, other in itertools.pairwise(times):
        assert right.filter(pl.col(one) > pl.col(other)).height == 0, (one, other)


def test_callbacks_come_before_their_order_and_some_orders_never_come(whole: Books) -> None:
    late = everything(whole, "work_order").filter(pl.col("_kind") == "late_parent")
    children = everything(whole, "callback").join(late, on="ORDER_NO", suffix="_order")
    assert children["ORDER_NO"].n_unique() == late["ORDER_NO"].n_unique() >= 6
    assert (children["_night"] < children["_night_order"]).any()
    orphans = everything(whole, "callback").join(everything(whole, "work_order"), on="ORDER_NO", how="anti")
    assert orphans.height >= 4
    assert orphans["_night"].n_unique() >= len(NIGHTS)


def test_a_city_writes_a_status_of_its_own_and_some_codes_are_in_no_list(whole: Books) -> None:
    rows = everything(whole, "work_order")
    suspended = rows.filter(pl.col("STATUS_NAME") == SUSPENDED)
    assert {all_nodes()[index].code for index in suspended["_node"]} == {"210300"}
    assert suspended.height < rows.height / 500
    assert set(rows.filter(~pl.col("STATUS_NAME").is_in(known_words(*range(9))))["STATUS_NAME"]) == set()
    codes = {node.code for node in all_nodes()}
    assert rows.filter(~pl.col("DIVISION_CODE").is_in(codes)).height >= 1
    assert rows.filter(pl.col("CLASS_CODE").str.slice(0, 2) == "99").height >= 1
    assert (rows["_type"] == rows["CLASS_CODE"].str.slice(0, 2)).all()
    weeks = everything(whole, "policy_week")
    departments = everything(whole, "department")
    assert weeks.join(departments, on="DEPT_CODE", how="anti").height >= 1


def test_callers_are_invented(whole: Books) -> None:
    rows = everything(whole, "work_order")
    assert rows["CALLER_PHONE"].drop_nulls().str.contains(r"^19900[0-9]{6}$").all()
    assert rows["CALLER_NAME"].drop_nulls().str.contains("某").all()
    in_text = rows.filter(pl.col("CONTENT").str.contains("19900"))
    assert 0.03 < in_text.height / rows.height < 0.12


@pytest.mark.parametrize("table", [WORK_ORDER, CALLBACK], ids=lambda table: table.dataset)
def test_broken_rows_have_keys_of_their_own(whole: Books, table) -> None:  # type: ignore[no-untyped-def]
    good = everything(whole, table.dataset).select(table.key)
    bad = pl.concat([whole.delivered(table.dataset, night) for night in whole.nights()]).filter(
        pl.col("_bad").is_not_null()
    )
    assert bad.join(good, on=list(table.key), how="semi").height == 0
    assert set(bad["_bad"]) == {"impossible_date", "missing_key", "future_cursor", "foreign_region", "bad_code"}
    assert bad.select(table.key).drop_nulls().is_unique().all()
