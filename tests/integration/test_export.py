"""Open data from the published marts: whole or not at all, from one snapshot, public only, safe in a spreadsheet."""

import csv
import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.support.contract_marts import publish_rows
from tests.support.ocds import package_errors

from yingshang import secrets
from yingshang.cli.app import main
from yingshang.errors import UsageError
from yingshang.export import export_ocds, export_tables
from yingshang.export.snapshot import ExportInterrupted

AT = datetime(2024, 8, 1, 1, 0, 0, tzinfo=UTC)
TYPES = [
    {"type_code": code, "type_cn": name, "industry_code": code[:2]}
    for code, name in (("0101", "房屋建筑工程"), ("0201", "货物采购"), ("0301", "国有建设用地使用权出让"))
]


def lot(number: int, type_code: str, at: datetime | None = AT, **values: Any) -> dict[str, Any]:
    return {
        "lot_code": f"A{number:022}", "project_code": "P1", "lot_name": f"第{number}标段", "type_code": type_code,
        "deal_code": f"B01-91210100MA0000000X-20240801-{number:06}-1", "industry_code": type_code[:2],
        "created_at": at, "reckon_price_yuan": Decimal("12345678901234.56") if number == 1 else Decimal("10.10"),
        "currency_code": "156", "is_held": number == 1, "is_withdrawn": False, "source_cursor": "20240801090000",
        **values,
    }  # fmt: skip


MARTS: dict[str, list[dict[str, Any]]] = {
    "dim_transaction_type": TYPES,
    "dim_division": [{"division_code": "210100000000", "region_code": "210100", "division_name": "沈阳市"}],
    "dim_organization": [{"organization_code": "91210100MA0000000X", "organization_name": "公司"}],
    "dim_project": [
        {
            "project_code": "P1", "project_name": "=HYPERLINK(\"http://evil\")",
            "owner_name": "+86", "tender_mode": "1",
            "tenderer_code": "91210100MA0000000X", "tenderer_name": "@sum", "agency_name": "-1",
            "supervisor_name": "a=b",
            "region_code": "210100", "created_at": AT, "source_cursor": "20240801080000",
        }
    ],
    "fct_transaction": [
        lot(1, "0101"), lot(2, "0201"), lot(3, "0201", datetime(2024, 8, 31, 16, 0, tzinfo=UTC)), lot(4, "0301"),
        lot(5, "0201", None), lot(6, "0201", deal_code=lot(2, "0201")["deal_code"]),
    ],
    "fct_transaction_event": [
        {
            "lot_key": lot(2, "0201")["lot_code"], "dataset": "result", "record_key": "x/y", "stage": "awarded",
            "occurred_at": AT, "organization_code": "91210100MA0000000X", "title": "公司",
            "amount_yuan": Decimal("9.99"), "is_held": False, "source_cursor": "20240802090000",
        }
    ],
    "fct_bid": [], "fct_contract": [],
    "dim_expert_history": [{"expert_code": "E1", "expert_name_token": "t:0123", "is_current": True}],
}  # fmt: skip
PUBLIC = sorted(set(MARTS) - {"dim_expert_history"})


@pytest.fixture
def marts(warehouse):
    with warehouse.admin() as admin:
        publish_rows(admin, MARTS)
    return warehouse


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_public_marts_are_written_with_a_package_that_names_the_publication(marts, tmp_path) -> None:
    report = export_tables(tmp_path / "out")
    assert [one.mart for one in report.tables] == PUBLIC
    package = json.loads((tmp_path / "out" / "datapackage.json").read_text(encoding="utf-8"))
    assert (package["version"], package["yingshang"]["publication_id"], package["yingshang"]["night"]) == (
        "7", 7, "2024-08-13",
    )  # fmt: skip
    assert package["yingshang"]["missing_nodes"] == {"trading": ["210202"]}
    files = {resource["path"] for resource in package["resources"]} | {"datapackage.json"}
    assert files == {file.name for file in (tmp_path / "out").iterdir()}
    assert len({resource["name"] for resource in package["resources"]}) == len(package["resources"])
    for one in package["resources"]:
        content = (tmp_path / "out" / one["path"]).read_bytes()
        assert (one["bytes"], one["hash"]) == (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")
        if one["format"] == "csv":
            header = rows_of_header(tmp_path / "out" / one["path"])
            assert header == [field["name"] for field in one["schema"]["fields"]]
            assert not {"_slot", "_build_id"} & set(header)
    table = pq.read_table(tmp_path / "out" / "fct_transaction.parquet")
    assert table.schema.metadata[b"yingshang.publication_id"] == b"7"
    assert table.num_rows == len(MARTS["fct_transaction"])
    (first,) = (row for row in table.to_pylist() if row["lot_code"] == lot(1, "0101")["lot_code"])
    assert first["reckon_price_yuan"] == Decimal("12345678901234.56"), "amounts are exact"
    assert first["created_at"] == AT


def rows_of_header(file: Path) -> list[str]:
    with file.open(encoding="utf-8", newline="") as lines:
        return next(csv.reader(lines))


def test_no_text_is_a_formula_and_times_carry_their_offset(marts, tmp_path) -> None:
    export_tables(tmp_path / "out", marts=["dim_project"], formats=("csv",))
    (row,) = rows_of(tmp_path / "out" / "dim_project.csv")
    assert row["project_name"] == '\'=HYPERLINK("http://evil")'
    assert (row["owner_name"], row["tenderer_name"], row["agency_name"]) == ("'+86", "'@sum", "'-1")
    assert row["supervisor_name"] == "a=b"
    assert row["created_at"] == "2024-08-01T09:00:00+08:00"
    assert row["owner_name"].startswith("'")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["datapackage.json", "dim_project.csv"]


def test_internal_marts_need_the_word_and_tokens_never_leave(marts, tmp_path) -> None:
    with pytest.raises(UsageError, match="dim_expert_history is internal"):
        export_tables(tmp_path / "out", marts=["dim_expert_history"])
    assert not (tmp_path / "out").exists()
    export_tables(tmp_path / "out", marts=["dim_expert_history"], internal=True)
    package = json.loads((tmp_path / "out" / "datapackage.json").read_text(encoding="utf-8"))
    assert package["yingshang"]["sensitivity"] == "internal"
    assert package["resources"][0]["yingshang"]["left_out"] == ["expert_name_token", "_slot", "_build_id"]
    assert all(b"t:0123" not in file.read_bytes() for file in (tmp_path / "out").iterdir())


def test_an_export_that_breaks_off_leaves_what_was_there(marts, tmp_path) -> None:
    out = tmp_path / "out"
    export_tables(out, marts=["dim_project"])
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def interrupt(mart: str, done: int, about: int) -> None:
        with marts.admin() as admin:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name = 'yingshang export'"
            )

    with pytest.raises(ExportInterrupted, match="Nothing was written"):
        export_tables(out, overwrite=True, progress=interrupt)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith((".partial", ".old"))] == []


def test_all_tables_are_of_one_snapshot(marts, tmp_path) -> None:
    def change(mart: str, done: int, about: int) -> None:
        with marts.admin() as admin:
            admin.execute("delete from told.fct_transaction")

    report = export_tables(tmp_path / "out", marts=["dim_project", "fct_transaction"], progress=change)
    assert {one.mart: one.rows for one in report.tables} == {"dim_project": 1, "fct_transaction": 6}
    again = export_tables(tmp_path / "out2", marts=["fct_transaction"])
    assert again.tables[0].rows == 0, "the change was real"


def test_by_hand(marts, tmp_path, capsys) -> None:
    def cli(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["export", *map(str, arguments)])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out.strip(), err.strip()

    out = tmp_path / "out"
    code, printed, said = cli("tables", "-o", out, "--mart", "dim_project", "--format", "csv")
    assert (code, printed) == (0, str(out)), said
    assert "1 rows of 1 marts" in said
    assert said.endswith("publication 7 of night 2024-08-13, incomplete 不完整: missing trading of 210202")
    code, _, said = cli("tables", "-o", out)
    assert (code, "--overwrite" in said) == (2, True)
    assert cli("tables", "-o", out, "--overwrite", "--mart", "dim_division")[0] == 0
    assert not (out / "dim_project.csv").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.docx").write_text("precious")
    code, _, said = cli("tables", "-o", other, "--overwrite")
    assert (code, "holds something else" in said) == (2, True)
    assert (other / "thesis.docx").read_text() == "precious"
    for wrong in (("tables", "--mart", "fct_nothing"), ("tables", "--format", "xlsx"), ("ocds", "--industry", "03")):
        code, _, said = cli(*wrong, "-o", tmp_path / "wrong")
        assert (code, said.startswith("error: --")) == (2, True), said
    code, _, said = cli("tables", "-o", tmp_path / "inside", "--internal", "--mart", "dim_expert_history")
    assert (code, said.startswith("warning:")) == (0, True)
    assert not (tmp_path / "wrong").exists()
    code, printed, said = cli("ocds", "-o", tmp_path / "ocds", "--industry", "02")
    assert (code, printed) == (0, str(tmp_path / "ocds")), said
    assert "left out: 1 lots with the unified deal code of another lot" in said
    assert "4 releases of 3 contracting processes in 3 packages" in said
    assert "note: no lot" not in said


def test_what_has_no_rows_is_named(marts, tmp_path, capsys) -> None:
    with marts.admin() as admin:
        admin.execute("truncate told.fct_transaction")
    with pytest.raises(SystemExit):
        main(["export", "tables", "-o", str(tmp_path / "out")])
    named = "fct_bid, fct_contract, fct_transaction (无数据): their files have a head only"
    assert f"note: no row is published of {named}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", "ocds", "-o", str(tmp_path / "ocds")])
    said = capsys.readouterr().err
    assert "note: no lot of these industries is published that has a release (无数据)" in said
    assert "0 releases of 0 contracting processes in 0 packages" in said


@pytest.mark.parametrize("of", ["tables", "ocds"])
def test_a_warehouse_that_is_gone_or_refuses_is_one_sentence(warehouse, tmp_path, capsys, monkeypatch, of) -> None:
    def said() -> str:
        with pytest.raises(SystemExit) as ended:
            main(["export", of, "-o", str(tmp_path / "out")])
        assert ended.value.code == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert not (tmp_path / "out").exists()
        return " ".join(err.split())

    uri = secrets.connection("warehouse_bi_reader").uri
    monkeypatch.delenv("AIRFLOW_CONN_WAREHOUSE_BI_PUBLIC", raising=False)
    monkeypatch.setattr("yingshang.export.snapshot.PUBLIC_ROLE", "bi_reader")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_BI_READER", uri.replace("bi_reader:", "bi_reader:not-"))
    line = said()
    assert "refuses connection 'warehouse_bi_reader': its password has expired or was changed (口令已过期" in line
    assert "`yingshang warehouse init` renews it" in line
    assert "FATAL" not in line
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_BI_READER", "postgresql://nobody:secret-word@127.0.0.1:1/none")
    line = said()
    assert "error: the warehouse at 127.0.0.1:1/none does not answer (" in line
    assert "check that PostgreSQL runs there" in line
    assert "secret-word" not in line


def test_before_the_first_publication_it_says_so(warehouse, tmp_path) -> None:
    for export in (export_tables, export_ocds):
        with pytest.raises(UsageError, match=r"nothing has been published yet \(尚未发布\): run a night first"):
            export(tmp_path / "out")


def test_procurement_is_written_by_industry_and_month_as_ocds(marts, tmp_path) -> None:
    report = export_ocds(
        tmp_path / "ocds", prefix="ocds-abc123", publisher="辽宁", base_uri="https://x.cn/p{publication}/"
    )
    found = {
        str(file.relative_to(tmp_path / "ocds")): json.loads(file.read_text(encoding="utf-8"))
        for file in (tmp_path / "ocds").rglob("*.json")
    }
    manifest = found.pop("manifest.json")
    assert set(found) == {"01/2024-08.json", "02/2024-08.json", "02/2024-09.json", "02/undated.json"}
    for package in found.values():
        assert package_errors(package) == []
    package = found["02/2024-08.json"]
    assert package["publisher"] == {"name": "辽宁"}
    assert "7" in package["uri"]
    assert [release["tag"] for release in package["releases"]] == [["tender"], ["award"]]
    assert package["releases"][0]["ocid"] == f"ocds-abc123-{lot(2, '0201')['deal_code']}"
    assert package["releases"][0]["tender"]["value"] == {"amount": 10.1, "currency": "CNY"}
    assert "value" not in found["01/2024-08.json"]["releases"][0]["tender"], "awaits confirmation"
    assert (manifest["publication_id"], manifest["processes"], report.processes) == (7, 4, 4)
    assert manifest["left_out"] == {"with the unified deal code of another lot": 1}
    assert {one["path"] for one in manifest["packages"]} == set(found)


MEASURED = """
import resource, sys
from pathlib import Path
from yingshang.export import export_tables
for mart in ("dim_project", "fct_bid"):
    report = export_tables(Path(sys.argv[1]) / mart, marts=[mart])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(report.tables[0].rows, report.tables[0].files[f"{mart}.csv"] >> 20, peak)
"""


def test_memory_does_not_grow_with_the_mart(marts, tmp_path) -> None:
    with marts.admin() as admin:
        admin.execute(
            "insert into told.fct_bid (lot_code, bidder_code, bidder_name, other_price)"
            " select n::text, n::text, repeat(md5(n::text), 12), repeat(md5((n + 1)::text), 12)"
            " from generate_series(1, 150000) as n"
        )
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, text=True, check=True, timeout=300
    )
    small, large = (tuple(map(int, line.split())) for line in done.stdout.splitlines())
    assert (small[0], large[0]) == (1, 150_000)
    assert large[1] > 110, "megabytes of CSV"
    assert large[2] - small[2] < 80, (small, large)
