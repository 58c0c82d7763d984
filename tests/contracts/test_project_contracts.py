"""The project's own contracts, registry and what derives from them."""

import csv
import re
from collections import Counter
from datetime import timedelta

import pyarrow as pa
import pytest

from yingshang.contracts import Contract, NodeScope, load_contracts
from yingshang.contracts.registry import load_registry
from yingshang.contracts.sources import sources_file, stale_files
from yingshang.settings import settings

CONTRACTS = load_contracts()

TRADING = {name: contract for name, contract in CONTRACTS.items() if contract.system == "trading"}
OTHERS = {name: contract for name, contract in CONTRACTS.items() if contract.system != "trading"}
COUNTS = ("VILLAGE_CODE", "STAT_MONTH")
KEYS = {
    "trading.project": ("TENDER_PROJECT_CODE",),
    "trading.lot": ("BID_SECTION_CODE",),
    "trading.notice": ("URL",),
    "trading.bid": ("BID_SECTION_CODE", "BIDDER_ORG_CODE"),
    "trading.result": ("BID_SECTION_CODE", "WIN_BIDDER_CODE"),
    "trading.contract": ("BID_SECTION_CODE", "BIDDER_CODE"),
    "trading.performance": ("BID_SECTION_CODE",),
    "supervision.batch": ("BATCH_CODE",),
    "supervision.issue": ("ISSUE_CODE",),
    "supervision.issue_event": ("EVENT_ID",),
    "supervision.issue_outcome": ("OUTCOME_ID",),
    "hotline.department": ("DEPT_CODE",),
    "hotline.expert": ("EXPERT_CODE",),
    "hotline.expert_session": ("SESSION_CODE",),
    "hotline.policy_week": ("WEEK_CODE",),
    "hotline.work_order": ("ORDER_NO",),
    "hotline.callback": ("CALLBACK_ID",),
    "sunshine.disclosure": ("DISCLOSURE_ID",),
    "sunshine.tracked_problem": ("PROBLEM_ID",),
    "sunshine.registration": COUNTS,
    "sunshine.evaluation": COUNTS,
    "sunshine.petition": COUNTS,
}
DEAL_CODE = "A01-91210102MA0UABCD1X-20240813-000123-*"


def test_there_are_22_datasets_with_their_keys() -> None:
    assert {name: contract.primary_key for name, contract in CONTRACTS.items()} == KEYS


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())
def test_every_dataset_carries_cursor_and_delete_mark(contract: Contract) -> None:
    assert contract.column("DATA_TIMESTAMP").time_formats == ("yyyyMMddHHmmss",)
    assert contract.column("IS_DELETE").allowed == ("0", "1", "F", "T")
    assert contract.delete_values == ("1", "T")
    assert contract.overlap >= timedelta(hours=2)


@pytest.mark.parametrize("contract", TRADING.values(), ids=TRADING.keys())
def test_every_dataset_of_trading_carries_the_common_columns(contract: Contract) -> None:
    assert {"TENDER_PROJECT_CODE", "PLATFORM_CODE", "PUB_SERVICE_PLAT_CODE"} <= set(contract.column_names)
    assert contract.node_scopes[0] == NodeScope("TENDER_PROJECT_CODE", 2, 6)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_reconstructed_says_so(name: str) -> None:
    text = (settings().contracts_dir / f"{name.replace('.', '/')}.yaml").read_text(encoding="utf-8")
    assert "limitations: >-\n    Reconstructed: " in text


def test_records_tell_of_their_node_but_for_registers_of_the_province() -> None:
    without = {name for name, contract in CONTRACTS.items() if not contract.node_scopes}
    registers = {"hotline.department", "hotline.expert", "hotline.expert_session", "hotline.policy_week"}
    assert without == {"supervision.batch", *registers}
    providers = {one.node_code for one in load_registry().provisions if one.name in without}
    assert providers == {"210000"}


def test_a_free_text_is_taken_along_by_its_length_only() -> None:
    assert {(name, one) for name, contract in CONTRACTS.items() for one in contract.free_text_columns} == {
        ("hotline.work_order", "CONTENT")
    }
    content = CONTRACTS["hotline.work_order"].column("CONTENT")
    assert (content.raw_name, content.sql_type) == ("content_length", "bigint")
    assert "content" not in CONTRACTS["hotline.work_order"].raw_names


def test_the_known_status_names_are_those_of_the_seed() -> None:
    [seed] = (settings().dbt_dir / "seeds").rglob("hotline_status_map.csv")
    with seed.open(encoding="utf-8", newline="") as file:
        mapped = {row["status_name"] for row in csv.DictReader(file)}
    assert set(CONTRACTS["hotline.work_order"].column("STATUS_NAME").known or ()) == mapped


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())
def test_only_keys_scope_cursor_and_delete_mark_are_required(contract: Contract) -> None:
    """Real sources are dirty: a row with a gap elsewhere is worth more than none."""
    required = {column.name for column in contract.columns if column.required}
    scoped = {scope.column for scope in contract.node_scopes if contract.column(scope.column).multi is None}
    assert required == {*contract.primary_key, *scoped, contract.cursor, contract.delete_column}


@pytest.mark.parametrize("contract", TRADING.values(), ids=TRADING.keys())
def test_a_key_that_begins_with_a_division_is_held_to_the_node(contract: Contract) -> None:
    """No node can write a version of another node's lot, whatever project it names."""
    scoped = {scope.column for scope in contract.node_scopes}
    coded = {key for key in contract.primary_key if key in ("TENDER_PROJECT_CODE", "BID_SECTION_CODE")}
    assert coded <= scoped


@pytest.mark.parametrize("contract", OTHERS.values(), ids=OTHERS.keys())
def test_where_several_nodes_provide_a_dataset_its_key_is_held_to_the_node(contract: Contract) -> None:
    providers = {one.node_code for one in load_registry().provisions if one.name == contract.name}
    scoped = {scope.column for scope in contract.node_scopes}
    assert len(providers) == 1 or scoped & set(contract.primary_key)


def test_direct_identifiers_of_persons_are_personal_and_nothing_else_is() -> None:
    personal = {(name, column) for name, contract in CONTRACTS.items() for column in contract.personal_columns}
    assert personal == {
        ("trading.bid", "PM_CODE"),
        ("trading.result", "PROJECT_LEAD"),
        ("trading.result", "PROJECT_LEAD_ID"),
        ("supervision.issue_event", "HANDLER_NAME"),
        ("hotline.expert", "EXPERT_NAME"),
        ("hotline.work_order", "CALLER_NAME"),
        ("hotline.work_order", "CALLER_PHONE"),
    }


def test_amounts_are_decimals_whose_unit_stands_in_the_row() -> None:
    amounts = {
        (contract.dataset, column.name, column.unit)
        for contract in CONTRACTS.values()
        for column in contract.columns
        if column.kind == "decimal"
    }
    assert amounts == {
        ("lot", "CONTRACT_RECKON_PRICE", "PRICE_UNIT"),
        ("bid", "BID_PRICE", "PRICE_UNIT"),
        ("result", "BID_AMOUNT", "PRICE_UNIT"),
        ("contract", "CONTRACT_PRICE", "PRICE_UNIT"),
        ("performance", "SETTLE_PRICE", "PRICE_UNIT"),
        ("issue_outcome", "AMOUNT", "PRICE_UNIT"),
    }


@pytest.mark.parametrize(
    ("dataset", "column", "good", "bad"),
    [
        ("lot", "UNIFIED_DEAL_CODE", DEAL_CODE, DEAL_CODE.replace("-", "")),
        ("notice", "UNIFIED_DEAL_CODES", DEAL_CODE, DEAL_CODE[1:]),
        ("project", "TENDER_PROJECT_CODE", "A2101020000000000001", "A210102000000000001"),
        ("project", "PROJECT_CODE", "A2101020000000001", "2101020000000001A"),
        ("lot", "BID_SECTION_CODE", "A2101020000000000001001", "A2101020000000000001"),
        ("lot", "REGION_CODE", "210102", "2101"),
    ],
)
def test_patterns_take_real_codes_and_refuse_broken_ones(dataset: str, column: str, good: str, bad: str) -> None:
    pattern = CONTRACTS[f"trading.{dataset}"].column(column).pattern
    assert pattern is not None
    assert re.fullmatch(pattern, good)
    assert not re.fullmatch(pattern, bad)


@pytest.mark.parametrize(
    ("dataset", "column", "good", "bad"),
    [
        ("supervision.issue", "ISSUE_CODE", "WT01210102000001", "WT1210102000001"),
        ("supervision.issue_event", "EVENT_ID", "WT01210102000001-001", "WT01210102000001-R01"),
        ("supervision.issue_outcome", "OUTCOME_ID", "WT01210102000001-R01", "WT01210102000001-001"),
        ("hotline.work_order", "ORDER_NO", "210100202408130001", "2101002024081301"),
        ("hotline.work_order", "CLASS_CODE", "0102", "01"),
        ("hotline.callback", "CALLBACK_ID", "210100202408130001C1", "210100202408130001"),
        ("hotline.policy_week", "WEEK_CODE", "2024W33", "202433"),
        ("sunshine.disclosure", "DISCLOSURE_ID", "2101020010012024080001", "210102001001"),
        ("sunshine.registration", "VILLAGE_CODE", "210102001001", "210102001"),
    ],
)
def test_patterns_of_the_other_systems(dataset: str, column: str, good: str, bad: str) -> None:
    pattern = CONTRACTS[dataset].column(column).pattern
    assert pattern is not None
    assert re.fullmatch(pattern, good)
    assert not re.fullmatch(pattern, bad)


def test_codes_that_may_grow_are_warned_of_and_not_refused() -> None:
    """A pair of nature and type that maps to nothing becomes the stage unknown: the row is kept."""
    notice = CONTRACTS["trading.notice"]
    assert notice.column("BULLETIN_TYPE").allowed is None
    assert notice.column("BULLETIN_TYPE").known == tuple("1234567")
    assert notice.column("NOTICE_NATURE").known == ("1", "2", "3")


def test_the_arrow_schema_is_that_of_raw() -> None:
    schema = CONTRACTS["trading.lot"].arrow_schema
    assert schema.field("contract_reckon_price").type == pa.decimal128(20, 6)
    assert schema.field("data_timestamp").type == pa.string()
    assert schema.names == list(CONTRACTS["trading.lot"].raw_names)


def test_dbt_sources_match_the_contracts() -> None:
    """When this fails: `yingshang contracts generate`, and look at what changed."""
    assert stale_files(CONTRACTS) == []


def test_a_changed_contract_makes_its_sources_stale() -> None:
    without_lot = {name: contract for name, contract in CONTRACTS.items() if name != "trading.lot"}
    assert stale_files(without_lot) == [sources_file("trading")]


def test_the_fleet_is_the_province_14_cities_and_100_counties() -> None:
    registry = load_registry()
    assert Counter(node.level for node in registry.nodes.values()) == {"province": 1, "city": 14, "county": 100}
    sizes = {system: len(registry.nodes_of(system)) for system in registry.systems}
    assert sizes == {"trading": 115, "supervision": 115, "hotline": 15, "sunshine": 15}
    assert {(one.required_nodes, one.min_share) for one in registry.quorum.values()} == {(("210000",), 0.8)}
    assert len(registry.provisions) == 1100
    assert {one.name for one in registry.provisions} == set(CONTRACTS)


PROVINCE = {
    "supervision": {"batch", "issue", "issue_event", "issue_outcome"},
    "hotline": {"department", "expert", "expert_session", "policy_week"},
    "sunshine": {"registration", "evaluation", "petition"},
}
CITY = {
    "supervision": {"issue_event", "issue_outcome"},
    "hotline": {"work_order", "callback"},
    "sunshine": {"disclosure", "tracked_problem"},
}
COUNTY = {"supervision": {"issue_event", "issue_outcome"}, "hotline": set(), "sunshine": set()}


@pytest.mark.parametrize("system", PROVINCE)
def test_each_level_provides_what_is_its_own(system: str) -> None:
    registry = load_registry()
    for code, node in registry.nodes.items():
        expected = {"province": PROVINCE, "city": CITY, "county": COUNTY}[node.level][system]
        provisions = registry.provisions_of(system, code)
        assert {one.dataset for one in provisions} == expected
        trading = registry.provisions_of("trading", code)[0]
        ways = {
            "supervision": (trading.connector, trading.format),
            "hotline": ("postgres" if node.level == "province" else "http", ""),
            "sunshine": ("postgres", ""),
        }
        assert {(one.connector, one.format) for one in provisions} <= {ways[system]}


def test_each_node_provides_all_seven_datasets_of_trading_by_one_connector() -> None:
    registry = load_registry()
    ways = Counter()
    for code, node in registry.nodes.items():
        provisions = registry.provisions_of("trading", code)
        assert {provision.name for provision in provisions} == set(TRADING)
        ways[(node.level, provisions[0].connector, provisions[0].format)] += 1
    assert ways == {
        ("province", "postgres", ""): 1,
        ("city", "postgres", ""): 8,
        ("city", "http", ""): 6,
        ("county", "postgres", ""): 40,
        ("county", "files", "csv-gb18030"): 30,
        ("county", "files", "xlsx"): 20,
        ("county", "files", "xml"): 10,
    }


def test_all_24_published_figures_are_expected_as_published() -> None:
    registry = load_registry()
    assert len(registry.figures) == 24
    assert set(registry.figures) == set(registry.expectations)
    assert {one.basis for one in registry.expectations.values()} == {"published"}
    assert {figure.system for figure in registry.figures.values()} == set(registry.systems)


def test_what_happened_cannot_lie_in_the_future_and_what_is_planned_can() -> None:
    times = {c.name: c for one in load_contracts().values() for c in one.columns if c.kind == "time"}
    planned = {"BID_DOC_REFER_END_TIME", "BID_OPEN_TIME", "DUE_TIME", "FINISH_TIME", "SESSION_DATE", "START_DATE",
               "WEEK_START", "ISSUED_TIME"}  # fmt: skip
    assert planned | {"DATA_TIMESTAMP"} == {name for name, one in times.items() if not one.not_after_clock}
    strict = {name for name, one in times.items() if one.not_after_clock and not one.clock_tolerance}
    assert strict == {"STAT_MONTH"}
