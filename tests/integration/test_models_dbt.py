"""The dbt project's own tests, and what a build refuses."""

import random

from tests.support.dbt_models import MARTS, Models
from tests.support.hotline_nights import Hotline
from tests.support.raw_log import RawLog
from tests.support.supervision_nights import Supervision
from tests.support.trading_nights import Trading


def test_unit_tests_of_the_models_pass(models: Models) -> None:
    """The traps: units, price forms, times, several values, regional codes, withdrawals, late parents."""
    models.build("slot_a", to_seq=0, full=True)
    result = models.run("test", "slot_a", "--selector", "unit")
    failures = [f"{one.node.name}: {one.message}" for one in result.result.results if one.status != "pass"]
    assert result.success, failures
    assert len(result.result.results) >= 14


def test_data_tests_pass_on_a_full_and_a_nightly_build(raw_log: RawLog, models: Models) -> None:
    """The selectors build and test everything; every row is of its slot, and rows of whole marts of its build."""
    systems = [kind(raw_log, random.Random(5)) for kind in (Trading, Supervision, Hotline)]
    for system in systems:
        system.pass_night()
    models.open("slot_a", to_seq=raw_log.max_seq(), full=True)
    models.checked("build", "slot_a", "--full-refresh", "--selector", "full")
    for system in systems:
        system.pass_night()
    build_id = models.open("slot_a", to_seq=raw_log.max_seq())
    models.checked("build", "slot_a", "--selector", "nightly")
    for mart in MARTS:
        assert models.row(f"select count(*) from slot_a.{mart} where _slot <> 'slot_a'") == (0,)
        if not mart.startswith("fct_"):
            found = models.row(f"select count(*) filter (where _build_id <> {build_id}) from slot_a.{mart}")
            assert found == (0,), mart
    for fact in ("fct_transaction", "fct_issue_event", "fct_work_order"):
        assert models.row(f"select max(_build_id) from slot_a.{fact}") == (build_id,), fact


def test_every_mart_has_comments_and_the_slot_constraints(models: Models) -> None:
    """Descriptions reach the database, and a slot can be attached without a scan."""
    models.build("slot_a", to_seq=0, full=True)
    for mart in MARTS:
        bare = models.rows(
            f"""select attname from pg_attribute where attrelid = 'slot_a.{mart}'::regclass and attnum > 0
            and not attisdropped and col_description(attrelid, attnum) is null"""
        )
        assert bare == [], f"{mart}: columns without description"
        assert models.row(f"select obj_description('slot_a.{mart}'::regclass) is not null") == (True,)
        checks = models.rows(
            f"""select pg_get_constraintdef(oid) from pg_constraint
            where conrelid = 'slot_a.{mart}'::regclass and contype = 'c'"""
        )
        assert ("CHECK ((_slot = 'slot_a'::text))",) in checks, mart
        nullable = models.rows(
            f"""select attname from pg_attribute where attrelid = 'slot_a.{mart}'::regclass
            and attname in ('_slot', '_build_id') and not attnotnull"""
        )
        assert nullable == [], mart


def test_dbt_without_a_build_is_refused_in_one_line(models: Models) -> None:
    result = models.run("run", "slot_a")
    assert not result.success
    assert "ops.build has no row for schema slot_a" in str(result.exception)


def test_a_full_refresh_that_does_not_start_from_nothing_is_refused(raw_log: RawLog, models: Models) -> None:
    raw_log.admitted(
        "trading.lot", "210100", {"bid_section_code": "L", "tender_project_code": "P", "data_timestamp": "2024"}
    )
    models.open("slot_a", to_seq=1, full=True)
    models.open("slot_a", to_seq=1)
    result = models.run("run", "slot_a", "--full-refresh")
    assert not result.success
    assert "a full build starts from seq 0" in str(result.exception)
