"""The sunshine services have their published figures with seed 1, and nights move none of them."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from simulator.books import FIRST_NIGHT, Books, Meta, number_of, save_meta
from simulator.fleet import all_nodes, fleet
from simulator.source import Context
from simulator.sunshine.figures import figures
from simulator.sunshine.months import MONTHS
from simulator.sunshine.schema import DISCLOSURE, MONTHLY, SUNSHINE, TRACKED_PROBLEM
from simulator.sunshine.sizes import totals, village_count
from simulator.sunshine.source import history, next_night

BASE = 20240813
CUT_OFF = "20230626"
TOTALS = {
    "sunshine_users": 8_713_482,
    "public_issues_resolved": 34_127,
    "potential_issues_resolved": 207_388,
    "evaluation_participants": 6_618_943,
    "villages_covered": 16_727,
}


def context(seed: int = 1, scale: float = 0.01, profile: str | None = None) -> Context:
    return Context(SUNSHINE, seed, scale, profile, fleet(profile).of_system(SUNSHINE))


def made(root: Path, about: Context, nights: int) -> Books:
    """Books of the sunshine services alone, with so many nights after the history."""
    books = Books(root, SUNSHINE)
    content = history(about)
    books.write(FIRST_NIGHT, content)
    for number in range(nights + 1):
        night = FIRST_NIGHT + timedelta(days=number)
        if number:
            content = next_night(about, books, night)
            books.write(night, content)
        meta = Meta(about.seed, about.scale, about.profile, night.isoformat(), {"sunshine": content.counters})
        save_meta(root, meta)
    return books


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return made(tmp_path_factory.mktemp("sunshine"), context(), 3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return made(tmp_path_factory.mktemp("sunshine_tiny"), context(scale=0.002, profile="tiny"), 22)


@pytest.fixture
def books(request: pytest.FixtureRequest, size: str) -> Books:
    found: Books = request.getfixturevalue(size)
    return found


BOTH = pytest.mark.parametrize("size", ["whole", "tiny"])


def test_the_whole_province_has_the_published_figures_at_every_scale(whole: Books) -> None:
    found = figures(whole, BASE)
    assert {name: found[name] for name in TOTALS} == TOTALS
    assert round(found["petition_change"], 1) == Decimal("-48.2")
    assert found["evaluation_satisfaction"] > Decimal("99.9")
    assert found["sunshine_disclosures"] == totals(context()).disclosures == pytest.approx(36_842, abs=1)
    assert totals(context(scale=1)).disclosures > 3_680_000
    assert found["villages_covered"] == village_count()


@BOTH
def test_nights_move_no_figure(books: Books) -> None:
    base = figures(books, BASE)
    for night in books.nights():
        assert figures(books, night) == base, night


def test_another_seed_has_other_totals_and_meets_them(tmp_path: Path, tiny: Books) -> None:
    other = made(tmp_path, context(seed=7, scale=0.002, profile="tiny"), 2)
    found, wanted = figures(other, BASE), totals(context(seed=7, scale=0.002, profile="tiny"))
    assert found == figures(other, 20240815)
    assert found["sunshine_users"] == wanted.users
    assert found["evaluation_participants"] == wanted.participants
    assert found["public_issues_resolved"] == wanted.public_problems
    assert found["sunshine_disclosures"] == wanted.disclosures
    same = {name for name, value in figures(tiny, BASE).items() if found[name] == value}
    assert same == {"villages_covered"}


def test_history_and_nights_are_the_same_at_each_call(tmp_path: Path, tiny: Books) -> None:
    again = made(tmp_path, context(scale=0.002, profile="tiny"), 2)
    for dataset in SUNSHINE.datasets:
        for night in again.nights():
            assert again.delivered(dataset, night).equals(tiny.delivered(dataset, night)), (dataset, night)


@BOTH
def test_each_key_comes_once_in_a_delivery(books: Books) -> None:
    for table in SUNSHINE.tables:
        for night in books.nights():
            rows = books.delivered(table.dataset, night).filter(pl.col(table.key[-1]).is_not_null())
            assert rows.select(table.key).is_unique().all(), (table.dataset, night)


@BOTH
def test_cursors_of_a_night_lie_in_it_and_grow_with_each_version(books: Books) -> None:
    for table in SUNSHINE.tables:
        versions = []
        for night in books.nights():
            rows = books.delivered(table.dataset, night).filter(pl.col("_bad").is_null())
            versions.append(rows.select(*table.key, "DATA_TIMESTAMP"))
            if night == BASE:
                assert rows["DATA_TIMESTAMP"].max() < f"{BASE}240000"
                continue
            usual = rows.filter(pl.col("_kind") != "late_cursor")
            assert usual["DATA_TIMESTAMP"].str.starts_with(str(night)).all(), (table.dataset, night)
        assert pl.concat(versions).is_unique().all()


def test_what_a_city_sends_lies_in_it(whole: Books) -> None:
    city = {node.index: node.code[:4] for node in all_nodes()}
    for dataset in ("disclosure", "tracked_problem"):
        rows = whole.delivered(dataset, BASE).filter(pl.col("_bad").is_null())
        assert (rows["VILLAGE_CODE"].str.slice(0, 4) == rows["_node"].replace_strict(city)).all()
    own = whole.delivered("disclosure", BASE).filter(pl.col("_bad").is_null())
    assert own["DISCLOSURE_ID"].str.contains("^[0-9]{22,24}$").all()
    assert (own["DISCLOSURE_ID"].str.slice(0, 12) == own["VILLAGE_CODE"]).all()


@BOTH
def test_every_village_has_a_row_of_every_month(books: Books) -> None:
    for table in MONTHLY:
        latest = books.latest(table.dataset, BASE)
        counted = latest.filter(pl.col("STAT_MONTH").is_in(MONTHS)).group_by("VILLAGE_CODE").len()
        assert set(counted["len"]) == {32}
        assert counted.height == (200 if books.meta.profile else village_count())


def test_months_that_are_counted_stay_and_the_current_one_goes_on(whole: Books) -> None:
    for table in MONTHLY:
        later = pl.concat([whole.delivered(table.dataset, n) for n in whole.nights()[1:]]).filter(
            pl.col("_bad").is_null() & (pl.col("_kind") != "resent")
        )
        assert later["STAT_MONTH"].min() > "202305"
        going_on = later.filter(pl.col("_kind") == "progress")
        assert set(going_on["STAT_MONTH"]) == {"202408"}
        assert going_on.height > 0.04 * 3 * village_count()


def test_a_new_month_begins_with_new_rows(tiny: Books) -> None:
    assert tiny.nights()[-1] == 20240904
    rows = pl.concat([tiny.delivered("registration", n) for n in tiny.nights() if n >= 20240901])
    fresh = rows.filter((pl.col("STAT_MONTH") == "202409") & pl.col("_kind").is_in(["new", "late_cursor"]))
    assert fresh.height > 5


def test_withdrawn_published_and_deleted_disclosures_are_younger_than_the_cut_off(whole: Books) -> None:
    later = pl.concat([whole.delivered("disclosure", n) for n in whole.nights()[1:]])
    for kind in ("withdrawn", "tombstone", "progress", "new"):
        rows = later.filter(pl.col("_kind") == kind)
        assert rows.height >= 2, kind
        assert rows.filter(pl.col("PUBLISH_TIME").str.slice(0, 8) <= CUT_OFF).height == 0
    assert later.filter((pl.col("_kind") == "withdrawn") & ~pl.col("IS_WITHDRAWN").is_in(["1", "T"])).height == 0
    base = whole.delivered("disclosure", BASE)
    assert base.filter(pl.col("PUBLISH_TIME").is_null() & pl.col("_bad").is_null()).height >= 4
    assert base.filter(pl.col("IS_WITHDRAWN").is_in(["1", "T"])).height >= 4


@BOTH
def test_a_disclosure_is_entered_then_reviewed_then_published(books: Books) -> None:
    for night in books.nights():
        rows = books.delivered("disclosure", night).filter(pl.col("_bad").is_null())
        assert rows.filter(pl.col("ENTER_TIME") > pl.col("REVIEW_TIME")).height == 0
        assert rows.filter(pl.col("REVIEW_TIME") > pl.col("PUBLISH_TIME")).height == 0


def test_problems_are_opened_solved_and_given_another_kind(whole: Books) -> None:
    later = pl.concat([whole.delivered("tracked_problem", n) for n in whole.nights()[1:]])
    kinds = dict(later.group_by("_kind").len().iter_rows())
    assert {"new", "progress", "correction", "tombstone", "resent", "bad"} <= kinds.keys()
    solved = later.filter(pl.col("_kind") == "progress")
    assert solved["RESOLVE_TIME"].null_count() == 0
    assert solved.filter(pl.col("RESOLVE_TIME") < pl.col("OPEN_TIME")).height == 0
    corrected = later.filter(pl.col("_kind") == "correction")
    assert corrected.filter(pl.col("PROBLEM_KIND") != pl.col("PROBLEM_ID").str.slice(12, 1)).height > 0
    assert (corrected["_type"] == corrected["PROBLEM_KIND"]).all()


def test_broken_rows_have_keys_of_their_own_and_every_fault_occurs(whole: Books) -> None:
    for table in SUNSHINE.tables:
        rows = pl.concat([whole.delivered(table.dataset, n) for n in whole.nights()])
        good, bad = rows.filter(pl.col("_bad").is_null()), rows.filter(pl.col("_bad").is_not_null())
        assert bad.join(good, on=list(table.key), how="semi").height == 0
        faults = {"missing_key", "future_cursor", "foreign_region"}
        if table in (DISCLOSURE, TRACKED_PROBLEM):
            faults |= {"impossible_date", "bad_code"}
        else:
            faults |= {"negative_count", "future_month"}
        assert set(bad["_bad"]) == faults | ({"more_satisfied"} if table.dataset == "evaluation" else set())
    more = pl.col("SATISFIED").cast(pl.Int64) > pl.col("PARTICIPANTS").cast(pl.Int64)
    evaluations = pl.concat([whole.delivered("evaluation", n) for n in whole.nights()])
    assert set(evaluations.filter(more)["_bad"].drop_nulls()) == {"more_satisfied"}
    assert evaluations.filter(more & pl.col("_bad").is_null()).height == 0


def test_the_measure_of_the_truth_is_what_the_row_says(whole: Books) -> None:
    for dataset, names in (
        ("registration", ["NEW_USERS"]), ("evaluation", ["PARTICIPANTS"]), ("petition", ["COMPLAINTS", "REPORTS"])
    ):  # fmt: skip
        for night in whole.nights():
            rows = whole.delivered(dataset, night).filter(pl.col("_bad").is_null())
            said = rows.select(pl.sum_horizontal(pl.col(name).cast(pl.Int64) for name in names) * 1000).to_series()
            assert (said == rows["_milli"]).all()


def test_a_night_changes_about_three_records_of_a_thousand(whole: Books) -> None:
    night = number_of(date(2024, 8, 14))
    for dataset in SUNSHINE.datasets:
        share = whole.delivered(dataset, night).height / whole.delivered(dataset, BASE).height
        assert 0.001 < share < 0.005, dataset
