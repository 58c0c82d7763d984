"""Sunshine: marts built night by night equal marts built from nothing (invariant I4), and every level adds up."""

import dataclasses
import datetime as dt
import random

import pytest
from tests.support.dbt_models import Models
from tests.support.raw_log import RawLog
from tests.support.sunshine_nights import Sunshine, disclosure_id

SELECTION = ("--select", "+path:models/marts/sunshine")


@pytest.mark.parametrize(("seed", "later"), [(1, 0), (2, 382)])
def test_six_nights_equal_one_build_in_any_order(seed: int, later: int, raw_log: RawLog, models: Models) -> None:
    """Corrections, moves to another village or month, withdrawals, unknown villages; a city away for three nights.

    The second time the nights are a year later, when petitions have a year before, and a new month begins among them.
    """
    models, shift = dataclasses.replace(models, selection=SELECTION), dt.timedelta(days=later)
    nights = Sunshine(raw_log, random.Random(seed), away={"210200": range(2, 5)}, most=60, undone=1)
    tonight = nights.pass_night() + shift
    models.build("slot_a", to_seq=raw_log.max_seq(), night=tonight, full=True)
    for number in range(1, 6):
        tonight = nights.pass_night() + shift
        if number == 3:  # a night that is not built: the next takes it in
            continue
        models.build("slot_a", to_seq=raw_log.max_seq(), night=tonight)
        if number in (2, 5):
            models.build("slot_b", to_seq=raw_log.max_seq(), night=tonight, full=True)
            assert models.differences("slot_a", "slot_b") == {}, f"seed {seed}, night {number}"
    assert models.row("select count(*) > 5, bool_or(is_unknown_village) from slot_a.fct_disclosure") == (True, True)
    levels = models.rows(
        """select
            sum(disclosures + withdrawn_disclosures), sum(participants), sum(satisfied), sum(petitions), sum(new_users),
            sum(problems_opened), sum(problems_resolved)
        from slot_a.rpt_sunshine_coverage group by division_level"""
    )
    assert len(levels) == 5
    facts = models.row(
        """select
            (select count(*) from slot_a.fct_disclosure),
            (select sum(participants) from slot_a.fct_evaluation),
            (select sum(satisfied) from slot_a.fct_evaluation),
            (select sum(complaints + reports) from slot_a.fct_petition),
            (select sum(new_users) from slot_a.fct_registration),
            (select count(*) from slot_a.fct_tracked_problem),
            (select count(*) from slot_a.fct_tracked_problem where is_resolved)"""
    )
    assert set(levels) == {facts}


def test_coverage_compares_with_the_year_before_and_covers_from_the_first_publication(
    raw_log: RawLog, models: Models
) -> None:
    """A village is covered in the month of its first publication and after; petitions stand beside those a year ago."""
    models = dataclasses.replace(models, selection=SELECTION)
    village, at = "210102001002", {"data_timestamp": "20240813000000"}
    for month, complaints in (("202308", 8), ("202408", 6)):
        raw_log.admitted(
            "sunshine.petition",
            "210000",
            {"village_code": village, "stat_month": month, "complaints": complaints, "reports": 0, **at},
        )
    raw_log.admitted(
        "sunshine.disclosure",
        "210100",
        {
            "disclosure_id": disclosure_id(village, 1), "village_code": village, "enter_time": "20240630",
            "publish_time": "20240701", "is_withdrawn": "0", **at,
        },
    )  # fmt: skip
    models.build("slot_a", to_seq=raw_log.max_seq(), full=True)
    petitions = models.rows(
        """select division_level, petitions, petitions_year_before, petition_change_rate::float8
        from slot_a.rpt_sunshine_coverage where month_start_date = '2024-08-01' and petitions > 0"""
    )
    assert sorted(petitions) == [
        (level, 6, 8, -0.25) for level in ("city", "county", "province", "township", "village")
    ]
    covered = models.rows(
        f"""select month_start_date::text, villages_covered, disclosures from slot_a.rpt_sunshine_coverage
        where division_code = '{village}' and month_start_date >= '2024-06-01' order by 1"""
    )
    assert covered == [("2024-06-01", 0, 1), ("2024-07-01", 1, 0), ("2024-08-01", 1, 0)]
    whole = models.row(
        "select villages, villages_covered from slot_a.rpt_sunshine_coverage"
        " where division_level = 'province' and month_start_date = '2024-08-01'"
    )
    assert whole == (16727, 1)
