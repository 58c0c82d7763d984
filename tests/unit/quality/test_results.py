"""Messages name what was observed and what was expected; a rule that fails names its rows."""

import json

from yingshang.quality.checks import Checks
from yingshang.quality.marks import expectations_module, stop, warn
from yingshang.quality.results import explain, observed

ROWS = [
    {"batch_id": 11, "rows": 5, "other": 5, "share": None},
    {"batch_id": 12, "rows": 0, "other": 1, "share": 0.25},
]


def validate(tmp_path, *expectations, rows=ROWS):
    checks = Checks(tmp_path / "site")
    return checks.validate("suite", rows, ["batch_id", "rows", "other", "share"], expectations, "batch_id")


def test_failures_name_the_rows_and_what_was_observed_in_them(tmp_path):
    gxe = expectations_module()
    between, pair = validate(
        tmp_path,
        gxe.ExpectColumnValuesToBeBetween(column="rows", min_value=1, **stop("empty")),
        gxe.ExpectColumnPairValuesToBeEqual(column_A="rows", column_B="other", **warn("differ")),
    )
    assert [(one.index, one.observed) for one in between.failures] == [(12, {"rows": 0})]
    assert [(one.index, one.observed) for one in pair.failures] == [(12, {"rows": 0, "other": 1})]
    assert (between.severity, pair.severity) == ("stop", "warn")
    text = explain("lot of 210200", between, between.failures[0])
    assert text == ("lot of 210200: rows is 0; expected rows at least 1: empty")
    json.dumps(observed(between.observed, between.failures[0].observed))


def test_a_measure_that_says_nothing_is_passed_over(tmp_path):
    gxe = expectations_module()
    (outcome,) = validate(tmp_path, gxe.ExpectColumnValuesToBeBetween(column="share", max_value=0.1, **warn("x")))
    assert [one.index for one in outcome.failures] == [12]
    (outcome,) = validate(
        tmp_path, gxe.ExpectColumnValuesToBeBetween(column="share", max_value=0.1, **warn("x")), rows=ROWS[:1]
    )
    assert outcome.is_success


def test_an_empty_table_breaks_no_rule_of_rows(tmp_path):
    gxe = expectations_module()
    outcomes = validate(
        tmp_path,
        gxe.ExpectColumnValuesToBeBetween(column="rows", min_value=1, **stop("x")),
        gxe.ExpectColumnPairValuesToBeEqual(column_A="rows", column_B="other", **stop("x")),
        gxe.ExpectColumnValuesToBeNull(column="share", **stop("x")),
        rows=[],
    )
    assert [(one.is_success, one.error) for one in outcomes] == [(True, None)] * 3


def test_a_rule_that_cannot_be_evaluated_says_so(tmp_path):
    gxe = expectations_module()
    (outcome,) = validate(tmp_path, gxe.ExpectColumnValuesToBeBetween(column="misspelt", max_value=1, **stop("x")))
    assert not outcome.is_success
    assert "misspelt" in (outcome.error or "")
    assert "could not be evaluated" in explain("suite", outcome)
