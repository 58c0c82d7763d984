"""The inventory of personal data says what the contracts and models say, and nothing about a person is outside it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from yingshang.cli import main
from yingshang.contracts import load_contracts
from yingshang.contracts.inventory import inventory_page, inventory_text, is_page_stale, personal_columns
from yingshang.settings import settings

CONTRACTS = load_contracts()


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["contracts", *arguments])
    return int(caught.value.code or 0)


def test_the_page_is_what_the_contracts_and_models_say() -> None:
    """When this fails: `yingshang contracts generate`, and look at what changed."""
    assert not is_page_stale(CONTRACTS)


def test_a_column_that_becomes_personal_makes_the_page_stale() -> None:
    bid = CONTRACTS["trading.bid"]
    columns = tuple(replace(one, pii="person_name") if one.name == "BIDDER_NAME" else one for one in bid.columns)
    changed = {**CONTRACTS, "trading.bid": replace(bid, columns=columns)}
    assert is_page_stale(changed)
    assert "`BIDDER_NAME`" in inventory_text(changed)


def test_every_classified_column_is_in_it_and_has_a_fate() -> None:
    found = {(one.dataset, one.column): one for one in personal_columns(CONTRACTS)}
    classified = {
        (contract.name, column.name)
        for contract in CONTRACTS.values()
        for column in contract.columns
        if column.classification == "personal"
    }
    assert set(found) == classified
    assert len(found) == 8
    assert {one.becomes for one in found.values() if one.pii == "free_text"} == {"length only"}
    assert {one.becomes for one in found.values() if one.pii != "free_text"} == {"token"}
    expert = found["hotline.expert", "EXPERT_NAME"]
    assert (expert.staging, expert.marts) == ("expert_name_token", ("dim_expert_history.expert_name_token",))


def test_every_token_in_a_mart_is_one_of_the_inventory() -> None:
    """Give a column the name that staging gives it, so that the inventory finds it."""
    known = {mart.split(".")[1] for one in personal_columns(CONTRACTS) for mart in one.marts}
    told = "".join(path.read_text(encoding="utf-8") for path in (settings().dbt_dir / "models/marts").rglob("*.yml"))
    assert set(re.findall(r"\bname: (\w+_token)\b", told)) <= known


def test_the_command_prints_it_for_people_and_for_programs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("inventory", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["pii"] for one in told} == {"person_name", "person_id", "phone", "free_text"}
    monkeypatch.setenv("COLUMNS", "160")
    assert run("inventory") == 0
    assert "CALLER_PHONE" in capsys.readouterr().out


def test_check_fails_when_the_page_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "personal-data.md"
    stale.write_text(inventory_page().read_text(encoding="utf-8").replace("token", "clear"), encoding="utf-8")
    monkeypatch.setattr("yingshang.contracts.inventory.inventory_page", lambda: stale)
    assert run("check") == 1
    assert f"{stale}: does not match the contracts" in capsys.readouterr().err
