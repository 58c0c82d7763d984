"""Pages written from seeds, and the sample queries for BI tools: up to date, whole, and about marts that are there."""

import re
from pathlib import Path

import pytest
from tests.support import bi_queries as samples
from tests.support.bi_queries import bi_queries
from tests.support.dbt_scripts import script
from tests.unit.dbt.test_project import MARTS, documented, rows

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_about_red_flags_is_up_to_date() -> None:
    reference = script("red_flags_reference")
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), (
        "run `python dbt_project/red_flags_reference.py` and commit docs/reference/red-flags.md"
    )


def test_every_red_flag_of_the_catalogue_is_computed_or_says_why_not() -> None:
    flags = {row["red_flag_id"]: row for row in rows("red_flags")}
    assert {f"R{number:03d}" for number in range(1, 74)} | {"LN01", "LN02"} == set(flags)
    computed = {name for name, row in flags.items() if row["status"] == "computed"}
    assert {row["red_flag_id"] for row in rows("red_flag_settings")} == computed
    for name, row in flags.items():
        wanted = ("definition", "reason_en", "reason_cn", "name_cn", "comparison", "unit", "national_classes")
        assert all(bool(row[column]) == (name in computed) for column in wanted), name
        assert bool(row["why_not"]) == (name not in computed), name
    sql = (ROOT / "dbt_project/models/marts/trading/rpt_red_flag.sql").read_text(encoding="utf-8")
    assert {name for name in flags if f"'{name}'" in sql} == computed


def test_each_computed_red_flag_has_a_hit_a_near_miss_and_a_lot_with_something_missing() -> None:
    tests = documented("unit_tests", "models/marts/trading")
    lots = tests["a_red_flag_is_hit_just_beyond_its_threshold_and_not_at_it"]["given"][2]["rows"]
    tried = {row["lot_code"] for row in lots}
    expected = {
        row["red_flag_id"]
        for name, test in tests.items()
        if test["model"] == "rpt_red_flag"
        for row in test["expect"]["rows"]
    }
    computed = {row["red_flag_id"] for row in rows("red_flags") if row["status"] == "computed"}
    assert expected == computed
    by_lot = computed - {"R038", "R040"}
    assert {f"{name}-H" for name in by_lot} <= tried
    assert {f"{name}-N" for name in by_lot - {"R028"}} <= tried, "R028 has no near miss: one price is no two"


def test_there_are_twenty_sample_queries_each_with_its_question_on_marts_that_are_there() -> None:
    queries = bi_queries()
    assert [query.name[:3] for query in queries] == [f"{number:02d}_" for number in range(1, 21)]
    known = {path.stem for path in MARTS} | {"publication"}
    for query in queries:
        used = re.findall(r"(?:from|join)\s+(\w+)\.(\w+)", query.sql)
        assert used, query.name
        assert {schema for schema, _ in used} == {"marts"}, query.name
        assert {mart for _, mart in used} <= known, query.name
        assert query.question.count("?") >= 1 or "never rates" in query.question, query.name
    page = (ROOT / "docs/how-to/connect-bi.md").read_text(encoding="utf-8")
    for query in queries:
        assert f"| [{query.name}](../../include/bi/sql/{query.name}.sql) | {query.title} {query.title_cn} |" in page


def test_no_sample_query_asks_what_row_security_keeps_from_an_index() -> None:
    """A date against a timestamp, and `like`, are not leakproof: the whole mart would be read."""
    for query in bi_queries():
        assert not re.search(r"\blike\b|interval '[^']*'(?!\)::date)", query.sql), query.name


def test_a_query_without_its_question_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "21_bare.sql").write_text("-- title: Bare\nselect 1\n", encoding="utf-8")
    monkeypatch.setattr(samples, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"21_bare\.sql: begin it with"):
        bi_queries()
