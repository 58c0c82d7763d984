"""The profile of a batch: what the gate and a person see of it."""

import polars as pl

from yingshang.contracts import load_contracts
from yingshang.ingest.profile import Profile

CONTRACT = load_contracts()["trading.lot"]


def rows(*changes: dict[str, object]) -> pl.DataFrame:
    schema = {
        column.raw_name: pl.Decimal(20, 6) if column.kind == "decimal" else pl.String for column in CONTRACT.columns
    }
    usual = {"is_delete": "0", "data_timestamp": "20240813100000", "currency_code": "156"}
    return pl.DataFrame([dict.fromkeys(schema) | usual | change for change in changes], schema=schema)


def test_measures_add_up_over_frames() -> None:
    profile = Profile(CONTRACT)
    deal = {"unified_deal_code": "A01-x"}
    profile.add(rows(deal | {"contract_reckon_price": 2.5}, {"contract_reckon_price": 1, "is_delete": "T"}))
    profile.add(rows())
    profile.add(rows({"data_timestamp": "20240812100000", "currency_code": "USD"}, deal, deal))
    profile.reject([["time:CREATE_TIME", "allowed:PRICE_UNIT"], ["time:CREATE_TIME"]])
    found = profile.result(source_rows=8, quarantined=2, duplicates=1, clock="20240814000000")
    assert (found["rows"], found["tombstones"], found["reject_share"]) == (5, 1, 0.25)
    assert (found["oldest_cursor"], found["newest_cursor"]) == ("20240812100000", "20240813100000")
    assert found["null_share"]["CONTRACT_RECKON_PRICE"] == 0.6
    assert found["null_share"]["DATA_TIMESTAMP"] == 0
    assert found["codes"]["CURRENCY_CODE"] == {"156": 4, "USD": 1}
    assert found["codes"]["UNIFIED_DEAL_CODE[1:3]"] == {"A01": 3}
    assert found["unknown_share"] == {"CURRENCY_CODE": 0.2}
    assert found["amounts"]["CONTRACT_RECKON_PRICE"] == {
        "min": "1.000000",
        "max": "2.500000",
        "sum": "3.500000",
        "values": 2,
    }
    assert found["reasons"] == {"time:CREATE_TIME": 2, "allowed:PRICE_UNIT": 1}


def test_only_so_many_codes_are_kept() -> None:
    profile = Profile(CONTRACT)
    profile.add(rows(*({"currency_code": f"{number:03d}"} for number in range(80))))
    codes = profile.result(source_rows=80, quarantined=0, duplicates=0, clock="")["codes"]["CURRENCY_CODE"]
    assert len(codes) == 51
    assert codes["__other__"] == 30


def test_codes_that_are_known_by_their_first_characters() -> None:
    contract = load_contracts()["hotline.work_order"]
    schema = {column.raw_name: pl.Int64 if column.is_free_text else pl.String for column in contract.columns}
    profile = Profile(contract)
    usual = dict.fromkeys(schema) | {"is_delete": "0", "data_timestamp": "20240813100000"}
    profile.add(pl.DataFrame([usual | {"class_code": code} for code in ("0101", "0102", "9901", None)], schema=schema))
    found = profile.result(source_rows=4, quarantined=0, duplicates=0, clock="")
    assert found["codes"]["CLASS_CODE"] == {"01": 2, "99": 1}
    assert found["unknown_share"]["CLASS_CODE"] == 0.25
    assert found["null_share"]["CONTENT"] == 1
