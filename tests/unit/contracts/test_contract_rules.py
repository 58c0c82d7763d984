"""Whatever is wrong in a contract is said, with file and path, and never passed over."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from yingshang.contracts import load_contracts, read_contracts
from yingshang.contracts.model import significant_digits
from yingshang.errors import ContractError
from yingshang.settings import settings

Document = dict[str, Any]
LOT: Document = yaml.safe_load((settings().contracts_dir / "trading" / "lot.yaml").read_text(encoding="utf-8"))


def write(root: Path, text: str, place: str = "trading/lot.yaml") -> Path:
    file = root / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def problems(root: Path, change: Callable[[Document], object]) -> list[str]:
    document = copy.deepcopy(LOT)
    change(document)
    write(root, yaml.safe_dump(document, allow_unicode=True))
    return [str(problem) for problem in read_contracts(root)[1]]


def column(document: Document, name: str) -> Document:
    return next(item for item in document["schema"][0]["properties"] if item["name"] == name)


def custom(holder: Document, name: str) -> Document:
    return next(item for item in holder["customProperties"] if item["property"] == name)


def set_custom(name: str, value: object) -> Callable[[Document], object]:
    return lambda document: custom(document, name).update(value=value)


def set_option(name: str, **options: object) -> Callable[[Document], object]:
    return lambda document: column(document, name).setdefault("logicalTypeOptions", {}).update(options)


def test_the_unchanged_contract_is_valid(tmp_path: Path) -> None:
    assert problems(tmp_path, lambda document: None) == []
    assert set(load_contracts(tmp_path)) == {"trading.lot"}


def test_the_rules_of_a_row_and_of_a_node_are_read(tmp_path: Path) -> None:
    def change(document: Document) -> None:
        add_custom(None, "rowRules", ["CONTRACT_RECKON_PRICE >= CONTRACT_RECKON_PRICE"])(document)
        scopes = [
            {"columns": ["BID_SECTION_CODE"], "start": 2, "length": 6},
            {"columns": ["TENDER_PROJECT_CODE"], "start": 2, "match": "within"},
        ]
        set_custom("nodeScope", scopes)(document)

    assert problems(tmp_path, change) == []
    contract = load_contracts(tmp_path)["trading.lot"]
    assert [str(rule) for rule in contract.row_rules] == ["CONTRACT_RECKON_PRICE>=CONTRACT_RECKON_PRICE"]
    own, within = contract.node_scopes
    assert (own.code("210100"), within.code("210100")) == ("210100", "2101")


def test_a_dataset_whose_records_tell_of_no_node_says_so(tmp_path: Path) -> None:
    assert problems(tmp_path, set_custom("nodeScope", "none")) == []
    assert load_contracts(tmp_path)["trading.lot"].node_scopes == ()


@pytest.mark.parametrize(
    ("code", "digits"), [("210000", "21"), ("210100", "2101"), ("211000", "2110"), ("210102", "210102")]
)
def test_what_lies_within_a_node_begins_with_its_digits(code: str, digits: str) -> None:
    assert significant_digits(code) == digits


UNKNOWN_KEYS: dict[str, tuple[Callable[[Document], object], str]] = {
    "contract": (lambda d: d.update(ownr="x"), "ownr: unknown key"),
    "description": (lambda d: d["description"].update(purpos="x"), "description.purpos: unknown key"),
    "team": (lambda d: d["team"].update(nam="x"), "team.nam: unknown key"),
    "table": (lambda d: d["schema"][0].update(grain="x"), "schema[BID_SECTION].grain: unknown key"),
    "column": (
        lambda d: column(d, "PRICE_UNIT").update(requird=True),
        "schema[BID_SECTION].properties[PRICE_UNIT].requird: unknown key",
    ),
    "column option": (
        set_option("PRICE_UNIT", maxLenght=3),
        "schema[BID_SECTION].properties[PRICE_UNIT].logicalTypeOptions",
    ),
    "quality": (
        lambda d: column(d, "PRICE_UNIT")["quality"][0].update(sevrity="x"),
        "properties[PRICE_UNIT].quality[0].sevrity: unknown key",
    ),
    "quality arguments": (
        lambda d: column(d, "PRICE_UNIT")["quality"][0]["arguments"].update(validValue=["0"]),
        "properties[PRICE_UNIT].quality",
    ),
    "custom property": (
        lambda d: d["customProperties"][0].update(vlue="x"),
        "customProperties[cursor].vlue: unknown key",
    ),
    "sla": (lambda d: d["slaProperties"][0].update(vlue="x"), "slaProperties[frequency].vlue: unknown key"),
}


@pytest.mark.parametrize(("change", "expected"), UNKNOWN_KEYS.values(), ids=UNKNOWN_KEYS.keys())
def test_an_unknown_key_is_an_error_at_every_level(
    tmp_path: Path, change: Callable[[Document], object], expected: str
) -> None:
    found = problems(tmp_path, change)
    assert any(expected in line for line in found), found
    assert all("trading/lot.yaml: " in line for line in found)


def rename(name: str, new: str) -> Callable[[Document], object]:
    return lambda document: column(document, name).update(name=new)


def drop(name: str, key: str) -> Callable[[Document], object]:
    return lambda document: column(document, name).pop(key)


def add_custom(name: str | None, prop: str, value: object) -> Callable[[Document], object]:
    def change(document: Document) -> None:
        holder = column(document, name) if name else document
        holder.setdefault("customProperties", []).append({"property": prop, "value": value})

    return change


WRONG: dict[str, tuple[Callable[[Document], object], str]] = {
    "unknown custom property of the contract": (
        add_custom(None, "overlapp", "PT3H"),
        "customProperties[overlapp]: unknown custom property; known are cursor,",
    ),
    "unknown custom property of a column": (
        add_custom("PRICE_UNIT", "pi", "phone"),
        "schema[BID_SECTION].properties[PRICE_UNIT].customProperties[pi]: unknown custom property",
    ),
    "custom property twice": (add_custom(None, "cursor", "X"), "customProperties[cursor]: stands here twice"),
    "custom property missing": (
        lambda d: d.update(customProperties=[p for p in d["customProperties"] if p["property"] != "rejectLimit"]),
        "customProperties[rejectLimit]: missing",
    ),
    "duplicate column": (
        rename("BID_SECTION_NAME", "PRICE_UNIT"),
        "schema[BID_SECTION].properties[PRICE_UNIT]: the column stands here twice",
    ),
    "no key": (
        lambda d: [column(d, "BID_SECTION_CODE").pop(k) for k in ("primaryKey", "primaryKeyPosition")],
        "schema[BID_SECTION]: no primary key",
    ),
    "key position wrong": (
        lambda d: column(d, "BID_SECTION_CODE").update(primaryKeyPosition=2),
        "primaryKeyPosition must count the key columns from 1",
    ),
    "key not required": (drop("BID_SECTION_CODE", "required"), "a key column is a required string"),
    "cursor not a column": (set_custom("cursor", "TIMESTAMP"), "customProperties[cursor]: 'TIMESTAMP' is not a column"),
    "cursor in two formats": (
        lambda d: custom(column(d, "DATA_TIMESTAMP"), "timeFormats").update(value=["yyyyMMddHHmmss", "yyyyMMdd"]),
        "the cursor is required, in yyyyMMddHHmmss only",
    ),
    "delete column not a column": (
        set_custom("deleteColumn", "DELETED"),
        "customProperties[deleteColumn]: 'DELETED' is not a column",
    ),
    "delete value not allowed": (set_custom("deleteValues", ["Y"]), "its valid values hold deleteValues"),
    "delete value unquoted": (
        set_custom("deleteValues", [1]),
        "customProperties[deleteValues]: must be a list of texts",
    ),
    "overlap too short": (set_custom("overlap", "PT1H"), "must be an ISO 8601 duration of at least PT2H"),
    "overlap no duration": (set_custom("overlap", "2 hours"), "must be an ISO 8601 duration of at least PT2H"),
    "reject limit no rate": (set_custom("rejectLimit", 5), "must be a rate from 0 to 1"),
    "reject limit text": (set_custom("rejectLimit", "5%"), "must be a rate from 0 to 1"),
    "reject floor negative": (set_custom("rejectFloor", -1), "must be a number of rows"),
    "scope of an unknown column": (
        set_custom("nodeScope", {"columns": ["CITY"], "start": 2, "length": 6}),
        "customProperties[nodeScope]: 'CITY' is not a column",
    ),
    "scope incomplete": (set_custom("nodeScope", {"columns": ["REGION_CODE"]}), "customProperties[nodeScope]: must be"),
    "scope of an optional column": (
        set_custom("nodeScope", {"columns": ["REGION_CODE"], "start": 1, "length": 6}),
        "a column of nodeScope is a required string",
    ),
    "type not used here": (
        lambda d: column(d, "PRICE_UNIT").update(logicalType="boolean"),
        "properties[PRICE_UNIT].logicalType: must be one of",
    ),
    "type unknown to the standard": (
        lambda d: column(d, "PRICE_UNIT").update(logicalType="text"),
        "properties[PRICE_UNIT].logicalType: 'text' is not one of",
    ),
    "text without limit": (
        lambda d: column(d, "PRICE_UNIT")["logicalTypeOptions"].pop("maxLength"),
        "logicalTypeOptions.maxLength: missing",
    ),
    "amount that raw cannot hold": (
        set_option("CONTRACT_RECKON_PRICE", maximum=10**15),
        "logicalTypeOptions.maximum: does not fit: raw holds numeric(20,6)",
    ),
    "amount without bounds": (
        drop("CONTRACT_RECKON_PRICE", "logicalTypeOptions"),
        "maximum: missing: raw holds numeric",
    ),
    "pattern broken": (set_option("PRICE_UNIT", pattern="^[0-$"), "pattern: not a regular expression"),
    "pattern with look-ahead": (set_option("PRICE_UNIT", pattern="^(?=0).$"), "look-around"),
    "pattern of a part": (set_option("PRICE_UNIT", pattern="[01]"), "must begin with ^ and end with $"),
    "time without format": (
        drop("CREATE_TIME", "customProperties"),
        "customProperties[timeFormats]: must name some of",
    ),
    "time in another format": (
        lambda d: custom(column(d, "CREATE_TIME"), "timeFormats").update(value=["yyyy-MM-dd"]),
        "customProperties[timeFormats]: must name some of",
    ),
    "codes unquoted": (
        lambda d: column(d, "PRICE_UNIT")["quality"][0]["arguments"].update(validValues=[0, 1]),
        "validValues must be a list of texts (quote codes)",
    ),
    "a rule that is not checked": (
        lambda d: column(d, "PRICE_UNIT").update(unique=True),
        "properties[PRICE_UNIT].unique: part of the standard, but this project does not check it",
    ),
    "a rule of another kind": (
        lambda d: column(d, "PRICE_UNIT")["quality"].append({"type": "library", "metric": "nullValues", "mustBe": 0}),
        "the one rule here is library invalidValues",
    ),
    "personal without class": (
        lambda d: column(d, "TRA_PLACE_CODE").update(classification="personal"),
        "personal columns, and only they, have a class",
    ),
    "unknown class of person": (
        add_custom("TRA_PLACE_CODE", "pii", "nickname"),
        "customProperties[pii]: must be one of",
    ),
    "sensitivity below its columns": (
        lambda d: (
            column(d, "TRA_PLACE_CODE").update(classification="personal"),
            add_custom("TRA_PLACE_CODE", "pii", "address")(d),
        ),
        "customProperties[sensitivity]: must be personal",
    ),
    "sensitivity below its free text": (
        lambda d: (
            column(d, "BID_SECTION_NAME").update(classification="personal"),
            add_custom("BID_SECTION_NAME", "pii", "free_text")(d),
        ),
        "customProperties[sensitivity]: must be personal",
    ),
    "content of a free text": (
        lambda d: (
            column(d, "REGION_CODE").update(classification="personal"),
            add_custom("REGION_CODE", "pii", "free_text")(d),
        ),
        "of a free text only the length is taken along",
    ),
    "known length of codes of another length": (
        lambda d: add_custom("CURRENCY_CODE", "knownLength", 2)(d),
        "customProperties[knownLength]: must be the length of each of knownValues",
    ),
    "a text that cannot be after the clock": (
        add_custom("PRICE_UNIT", "notAfterClock", True),
        "customProperties[notAfterClock]: must be true or a tolerance in hours, and is for a timestamp",
    ),
    "a row rule that is no comparison": (
        add_custom(None, "rowRules", ["PRICE_UNIT is less"]),
        "customProperties[rowRules]: must be a list of texts such as SATISFIED <= PARTICIPANTS",
    ),
    "row rules as a text": (
        add_custom(None, "rowRules", "CONTRACT_RECKON_PRICE <= CONTRACT_RECKON_PRICE"),
        "customProperties[rowRules]: must be a list of texts",
    ),
    "a row rule on an unknown column": (
        add_custom(None, "rowRules", ["CONTRACT_RECKON_PRICE <= LIMIT"]),
        "customProperties[rowRules]: 'LIMIT' is not a column",
    ),
    "a row rule on texts": (
        add_custom(None, "rowRules", ["PRICE_UNIT <= CURRENCY_CODE"]),
        "PRICE_UNIT<=CURRENCY_CODE: only two numbers, or times of one format, are compared",
    ),
    "a row rule on times of two formats": (
        add_custom(None, "rowRules", ["CREATE_TIME <= DATA_TIMESTAMP"]),
        "CREATE_TIME<=DATA_TIMESTAMP: only two numbers, or times of one format, are compared",
    ),
    "scope of no known kind": (
        set_custom("nodeScope", {"columns": ["BID_SECTION_CODE"], "start": 2, "match": "near"}),
        "customProperties[nodeScope]: must be",
    ),
    "scopes of which one is wrong": (
        set_custom(
            "nodeScope",
            [{"columns": ["BID_SECTION_CODE"], "start": 2, "length": 6}, {"columns": ["REGION_CODE"], "start": 1}],
        ),
        "customProperties[nodeScope]: must be",
    ),
    "key of two time formats": (
        lambda d: column(d, "CREATE_TIME").update(primaryKey=True, primaryKeyPosition=2, required=True),
        "a key column is a required string (or time of one format)",
    ),
    "unit of an unknown column": (
        lambda d: custom(column(d, "CONTRACT_RECKON_PRICE"), "unit").update(value="UNIT"),
        "customProperties[unit]: 'UNIT' is not a column",
    ),
    "lower-case column": (rename("BID_SECTION_NAME", "bid_section_name"), "a column has an upper-case name"),
    "column of the load": (rename("BID_SECTION_NAME", "_DIGEST"), "does not begin with _"),
    "no Chinese name": (drop("PRICE_UNIT", "businessName"), "properties[PRICE_UNIT].businessName: missing"),
    "no owner": (lambda d: d.pop("team"), "team.name: the owner is missing"),
    "no cadence": (lambda d: d.pop("slaProperties"), "slaProperties: the cadence (property frequency) is missing"),
    "another name than its place": (lambda d: d.update(id="trading.bid"), "id: must be 'trading.lot'"),
    "another system than its place": (lambda d: d.update(domain="hotline"), "domain: must be 'trading'"),
    "version not semantic": (lambda d: d.update(version="1"), "version: must be a semantic version"),
    "older standard": (lambda d: d.update(apiVersion="v3.0.2"), "apiVersion: must be v3.1.0"),
    "no such standard": (lambda d: d.update(apiVersion="v9"), "apiVersion: 'v9' is not one of"),
    "two tables": (lambda d: d["schema"].append({"name": "OTHER"}), "schema: one table per contract, not 2"),
    "team as text": (lambda d: d.update(team="us"), "team: 'us' is not valid"),
    "required as text": (
        lambda d: column(d, "PRICE_UNIT").update(required="often"),
        "properties[PRICE_UNIT].required: Input should be a valid boolean",
    ),
}


@pytest.mark.parametrize(("change", "expected"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_with_file_and_path(
    tmp_path: Path, change: Callable[[Document], object], expected: str
) -> None:
    found = problems(tmp_path, change)
    assert any(expected in line for line in found), found
    assert all(line.startswith(str(tmp_path / "trading" / "lot.yaml") + ": ") for line in found)
    assert all("\n" not in line for line in found)


def test_a_key_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    text = (settings().contracts_dir / "trading" / "lot.yaml").read_text(encoding="utf-8")
    write(tmp_path, text.replace("        required: true\n", "        required: true\n        required: false\n", 1))
    [problem] = read_contracts(tmp_path)[1]
    assert "the key 'required' stands here twice" in str(problem)
    assert ": line " in str(problem)


@pytest.mark.parametrize(("text", "expected"), [("a: [", "not YAML"), ("- a", "not a mapping"), ("", "not a mapping")])
def test_a_file_that_is_no_contract_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    file = write(tmp_path, text)
    [problem] = read_contracts(tmp_path)[1]
    assert str(problem).startswith(f"{file}: {expected}")
    assert "\n" not in str(problem)


def test_a_file_in_another_place_is_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path, yaml.safe_dump(LOT, allow_unicode=True))
    for place in ("lot.yaml", "trading/more/lot.yaml", "trading/bid.yml"):
        write(tmp_path, "a: 1", place)
    found = [str(problem) for problem in read_contracts(tmp_path)[1]]
    assert len(found) == 3
    assert all("a contract is named <system>/<dataset>.yaml" in line for line in found)


def test_two_datasets_cannot_describe_one_table(tmp_path: Path) -> None:
    write(tmp_path, yaml.safe_dump(LOT, allow_unicode=True))
    other = {**LOT, "id": "trading.section", "name": "trading.section"}
    write(tmp_path, yaml.safe_dump(other, allow_unicode=True), "trading/section.yaml")
    [problem] = read_contracts(tmp_path)[1]
    assert "table BID_SECTION is already that of trading.lot" in str(problem)


def test_load_names_every_problem_of_every_file(tmp_path: Path) -> None:
    for dataset in ("lot", "bid"):
        document = {**copy.deepcopy(LOT), "id": f"trading.{dataset}", "name": f"trading.{dataset}", "extra": 1}
        document["team"] = {"nam": "x"}
        write(tmp_path, yaml.safe_dump(document, allow_unicode=True), f"trading/{dataset}.yaml")
    with pytest.raises(ContractError) as caught:
        load_contracts(tmp_path)
    assert len(str(caught.value).splitlines()) == 4


def test_no_contract_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no contract"):
        load_contracts(tmp_path)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    assert problems(tmp_path, lambda d: d.update(version="1.0.1")) == []
    assert load_contracts(tmp_path)["trading.lot"].version == "1.0.1"
    assert problems(tmp_path, lambda d: d.update(version="1.10.2")) == []
    assert load_contracts(tmp_path)["trading.lot"].version == "1.10.2"
