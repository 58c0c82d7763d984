"""Sunshine: marts built night by night equal marts built from nothing (invariant I4), and every level adds up."""

import dataclasses
import random

import pytest
from tests.support.dbt_models import Models
from tests.support.raw_log import RawLog
from tests.support.sunshine_nights import Sunshine

SELECTION = ("--select", "+path:models/marts/sunshine")


@pytest.mark.parametrize("seed", [1, 2])
def test_six_nights_equal_one_build_in_any_order(seed: int, raw_log: RawLog, models: Models) -> None:
    """Corrections, moves to another village or month, withdrawals, unknown villages; a city away for three nights."""
    models = dataclasses.replace(models, selection=SELECTION)
    nights = Sunshine(raw_log, random.Random(seed), away={"210200": range(2, 5)}, most=30, undone=1)
    tonight = nights.pass_night()
    models.build("slot_a", to_seq=raw_log.max_seq(), night=tonight, full=True)
    for number in range(1, 6):
        tonight = nights.pass_night()
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
