"""The suites as files: complete, marked, and derived from the contracts where the contracts say it."""

import re
import subprocess
import sys

import pytest

from yingshang.contracts import load_contracts
from yingshang.errors import UsageError
from yingshang.quality import catalogue, suites
from yingshang.quality.arrivals import arrivals
from yingshang.quality.derived import derived_expectations, null_share, unknown_share
from yingshang.quality.marks import stop, warn
from yingshang.settings import settings


@pytest.fixture(scope="module")
def landing():
    return suites.landing_suites(load_contracts())


@pytest.fixture(scope="module")
def measures():
    return suites.publish_measures()


def test_every_dataset_has_a_landing_suite_and_no_suite_is_left_over(landing):
    files = {path.stem for path in (settings().expectations_dir / "landing").glob("*.py")}
    assert files == {contract.dataset for contract in load_contracts().values()}
    assert all(len(expectations) > 20 for expectations in landing.values())


def test_every_mart_has_a_publish_suite_and_no_suite_is_left_over(measures):
    marts = {path.stem for path in (settings().dbt_dir / "models" / "marts").rglob("*.sql")}
    files = {path.stem for path in (settings().expectations_dir / "publish").glob("*.py")}
    assert files == marts
    assert {measure.name.split(".")[0] for measure in measures} == marts


def test_what_all_datasets_are_held_to_is_evaluated_once(landing):
    shared, own = suites.shared_expectations(landing)
    assert len(shared) >= len(arrivals())
    for name, expectations in landing.items():
        assert len(shared) + len(own[name]) == len(expectations), name
    alone = {"trading.lot": landing["trading.lot"]}
    assert suites.shared_expectations(alone) == ([], alone)


def test_every_expectation_says_stop_or_warn_and_why(landing, measures):
    published = [expectation for measure in measures for expectation in suites.marked_expectations(measure)]
    everything = [*published, *(one for expectations in landing.values() for one in expectations)]
    assert {one.meta["severity"] for one in everything} == {"stop", "warn"}
    assert all(len(one.meta["reason"]) > 10 for one in everything)
    in_docs = {"stop": "critical", "warn": "warning"}
    assert all(one.severity.value == in_docs[one.meta["severity"]] for one in everything)


def test_an_expectation_without_a_mark_is_refused(tmp_path, monkeypatch):
    (tmp_path / "expectations" / "landing").mkdir(parents=True)
    (tmp_path / "expectations" / "landing" / "lot.py").write_text(
        "import great_expectations.expectations as gxe\n"
        "def expectations(contract):\n"
        "    return [gxe.ExpectColumnValuesToBeBetween(column='rows', min_value=1)]\n"
    )
    lot = load_contracts()["trading.lot"]
    monkeypatch.setenv("YINGSHANG_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"lot\.py.*neither stop nor warn"):
        suites.landing_suites({"trading.lot": lot})
    (tmp_path / "expectations" / "landing" / "lot.py").unlink()
    with pytest.raises(UsageError, match=r"no suite at .*lot\.py"):
        suites.landing_suites({"trading.lot": lot})


def test_rules_of_one_suite_have_names_of_their_own(landing, measures):
    tables = [*landing.values(), *(suites.marked_expectations(measure) for measure in measures)]
    for expectations in tables:
        names = [
            repr(sorted((key, str(value)) for key, value in one.configuration.kwargs.items())) + one.expectation_type
            for one in expectations
        ]
        assert len(names) == len(set(names))


def test_the_contract_gives_its_part_of_a_landing_suite():
    contract = load_contracts()["trading.lot"]
    derived = {(one.column, one.max_value, one.meta["severity"]) for one in derived_expectations(contract)}
    for column in contract.columns:
        assert ((null_share(column), 0, "stop") in derived) == column.required
        assert ((unknown_share(column), 0, "stop") in derived) == (column.allowed is not None)
        assert any(name == unknown_share(column) and mark == "warn" for name, _, mark in derived) == (
            column.known is not None and column.allowed is None
        )
    assert ("reject_share_past_floor", contract.reject_limit, "stop") in derived


def test_measures_read_the_audited_slot_only(measures):
    for measure in measures:
        reads = re.findall(r"\bfrom serve\.(\w+)|\bjoin serve\.(\w+)", measure.sql)
        filters = re.findall(r"_slot = %\(slot\)s", measure.sql)
        assert len(reads) == len(filters) > 0, measure.name
        assert "raw." not in measure.sql
        assert "slot_a" not in measure.sql


def test_marks_are_complete():
    assert stop("because")["meta"] == {"severity": "stop", "reason": "because"}
    assert warn("because")["severity"] == "warning"


def test_great_expectations_is_imported_only_when_a_gate_runs():
    code = (
        "import sys, yingshang.quality, yingshang.quality.status, yingshang.cli.gate, yingshang.cli.status;"
        "sys.exit('great_expectations' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0


def test_the_list_of_rules_in_the_docs_is_that_of_the_suites():
    text = catalogue.page().read_text(encoding="utf-8")
    assert catalogue.renewed(text) == text, "run `python -m yingshang.quality.catalogue`"
