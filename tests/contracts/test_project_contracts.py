"""The project's own contracts, registry and what derives from them."""

import re
from collections import Counter
from datetime import timedelta

import pyarrow as pa
import pytest

from yingshang.contracts import Contract, load_contracts
from yingshang.contracts.registry import load_registry
from yingshang.contracts.sources import sources_file, stale_files

CONTRACTS = load_contracts()

KEYS = {
    "trading.project": ("TENDER_PROJECT_CODE",),
    "trading.lot": ("BID_SECTION_CODE",),
    "trading.notice": ("URL",),
    "trading.bid": ("BID_SECTION_CODE", "BIDDER_ORG_CODE"),
    "trading.result": ("BID_SECTION_CODE", "WIN_BIDDER_CODE"),
    "trading.contract": ("BID_SECTION_CODE", "BIDDER_CODE"),
    "trading.performance": ("BID_SECTION_CODE",),
}
DEAL_CODE = "A01-91210102MA0UABCD1X-20240813-000123-*"


def test_there_are_the_seven_datasets_of_trading_with_their_national_keys() -> None:
    assert {name: contract.primary_key for name, contract in CONTRACTS.items()} == KEYS


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())
def test_every_dataset_carries_the_common_columns(contract: Contract) -> None:
    common = {"TENDER_PROJECT_CODE", "PLATFORM_CODE", "PUB_SERVICE_PLAT_CODE", "DATA_TIMESTAMP", "IS_DELETE"}
    assert common <= set(contract.column_names)
    assert contract.column("DATA_TIMESTAMP").time_formats == ("yyyyMMddHHmmss",)
    assert contract.column("IS_DELETE").allowed == ("0", "1", "F", "T")
    assert contract.delete_values == ("1", "T")
    assert contract.overlap >= timedelta(hours=2)
    assert (contract.node_scope.column, contract.node_scope.start, contract.node_scope.length) == (
        "TENDER_PROJECT_CODE",
        2,
        6,
    )


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())
def test_only_keys_scope_cursor_and_delete_mark_are_required(contract: Contract) -> None:
    """Real sources are dirty: a row with a gap elsewhere is worth more than none."""
    required = {column.name for column in contract.columns if column.required}
    scoped = {scope.column for scope in contract.node_scopes if contract.column(scope.column).multi is None}
    assert required == {*contract.primary_key, *scoped, contract.cursor, contract.delete_column}


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())
def test_a_key_that_begins_with_a_division_is_held_to_the_node(contract: Contract) -> None:
    """No node can write a version of another node's lot, whatever project it names."""
    scoped = {scope.column for scope in contract.node_scopes}
    coded = {key for key in contract.primary_key if key in ("TENDER_PROJECT_CODE", "BID_SECTION_CODE")}
    assert coded <= scoped


def test_direct_identifiers_of_persons_are_personal_and_nothing_else_is() -> None:
    personal = {(name, column) for name, contract in CONTRACTS.items() for column in contract.personal_columns}
    assert personal == {
        ("trading.bid", "PM_CODE"),
        ("trading.result", "PROJECT_LEAD"),
        ("trading.result", "PROJECT_LEAD_ID"),
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
    assert len({node.node_code for node in registry.nodes_of("trading")}) == 115
    assert registry.quorum["trading"].required_nodes == ("210000",)


def test_each_node_provides_all_seven_datasets_by_one_connector() -> None:
    registry = load_registry()
    ways = Counter()
    for code, node in registry.nodes.items():
        provisions = registry.provisions_of("trading", code)
        assert {provision.name for provision in provisions} == set(CONTRACTS)
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
