"""Silent differences of sources without digests: an API is read whole, drops as far as they still lie there."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from psycopg import sql
from tests.conftest import Warehouse
from tests.support.http_city import SECRET, City, served
from tests.support.ingest import NODE, Fleet, csv_of, lot, run_night, write_drop
from tests.support.visible import live_rows

from yingshang.cli import main
from yingshang.contracts import load_contracts
from yingshang.ingest.reconcile import reconcile_node
from yingshang.ingest.reconcile_digests import digests_of_frame, raw_key, raw_row, shape_of
from yingshang.quality import run_landing_gate
from yingshang.warehouse.reconciliations import Reconciliation

LATE = "20240813110000"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def compare(run_id: str, *, dry_run: bool = False) -> Reconciliation:
    (one,) = reconcile_node("trading", NODE, run_id, dry_run=dry_run).compared
    return one


def judged(run_id: str) -> Reconciliation:
    report = reconcile_node("trading", NODE, run_id)
    for each in report.runs:
        assert run_landing_gate(each).refused == ()
    return report.compared[0]


def found(one: Reconciliation) -> tuple[int, int, int, int]:
    return one.lost_rows, one.changed_rows, one.deleted_rows, one.rejected_rows


def names(warehouse: Warehouse) -> dict[str, str]:
    """Names of live lots, as the models see them."""
    with warehouse.admin() as admin:
        query = sql.SQL("select bid_section_code, bid_section_name from ({}) live").format(live_rows("trading.lot"))
        return dict(admin.execute(query).fetchall())


@pytest.fixture
def city(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[City]:
    """120 lots of a city's API, admitted."""
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    Fleet(tmp_path / "registry").add(NODE, "http", "lot")
    city = City()
    city.rows = [lot(n, CONTRACT_RECKON_PRICE=n * 1.25) for n in range(1, 120)]
    city.rows.append(lot(120, stamp="20240813200000"))
    with served(city) as port:
        warehouse.add_connections({f"trading_{NODE}": f"http://client:{SECRET}@127.0.0.1:{port}/city/1"})
        run_night("run-1")
        run_landing_gate("run-1")
        yield city


def test_silent_differences_of_an_api_are_found_and_repaired(warehouse: Warehouse, city: City) -> None:
    assert (compare("same").outcome, found(compare("same"))) == ("same", (0, 0, 0, 0))
    city.rows[0]["BID_SECTION_NAME"] = "改"
    city.rows[1]["CONTRACT_RECKON_PRICE"] = 77
    city.rows += [lot(n, stamp=LATE) for n in (201, 202)]
    city.rows += [lot(203, stamp=LATE, PRICE_UNIT="9"), lot(204, stamp="20240814000100")]
    gone = [str(city.rows.pop(10)["BID_SECTION_CODE"]) for _ in range(3)]
    one = compare("dry", dry_run=True)
    assert (one.method, one.outcome, found(one), one.pending_rows) == ("full", "same", (2, 2, 3, 1), 2)
    assert one.bytes_moved == one.bytes_full > 0
    done = judged("real")
    assert (done.outcome, found(done)) == ("repaired", (2, 2, 3, 1))
    here = names(warehouse)
    assert len(here) == 119
    assert here[str(city.rows[0]["BID_SECTION_CODE"])] == "改"
    assert not set(gone) & here.keys()
    assert found(compare("again")) == (0, 0, 0, 1)


def test_digests_of_frames_are_those_of_the_warehouse(warehouse: Warehouse, city: City) -> None:
    """Else every row of an API would be looked at twice."""
    city.rows += [
        lot(n, stamp=LATE, CONTRACT_RECKON_PRICE=price, BID_SECTION_NAME=name, REMOTE_EVALUATION_REGION="")
        for n, (price, name) in enumerate(
            [(None, "a|b"), ("0.000001", " 空 格 "), ("99999999999999", "𠮷\n"), ("1e3", "\x1f"), ("0", None)],
            start=400,
        )
    ]
    assert judged("odd").lost_rows == 5
    contract = load_contracts()["trading.lot"]
    shape = shape_of(contract, contract.column_names)
    columns = sql.SQL(", ").join(sql.Identifier("r", one.raw_name) for one in contract.columns)
    with warehouse.admin() as admin:
        rows = admin.execute(
            sql.SQL("select {}, {}, {} from raw.trading__lot r").format(
                columns, raw_key(shape, "r"), raw_row(shape, "r")
            )
        ).fetchall()
    kinds = {one.raw_name: pl.Decimal(20, 6) if one.kind == "decimal" else pl.String() for one in contract.columns}
    frame = pl.DataFrame(rows, schema={**kinds, "key": pl.String(), "row": pl.String()}, orient="row")
    key, row = digests_of_frame(shape)
    assert frame.select(key.alias("key"), row.alias("row")).equals(frame.select("key", "row"))
    assert frame["row"].n_unique() == frame.height == 125


def test_the_command_finds_repairs_and_asks(
    warehouse: Warehouse, city: City, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("reconcile", "--system", "trading", "--node", NODE)
    assert run(*options, "--dry-run") == 0
    city.rows.append(lot(301, stamp=LATE))
    capsys.readouterr()
    assert run(*options, "--dry-run", "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert [one["lost_rows"] for one in told["compared"]] == [1]
    assert run(*options) == 0
    assert "repaired by batch" in capsys.readouterr().out
    del city.rows[:60]
    assert run(*options) == 3
    said = capsys.readouterr().out
    assert "60 of 120 rows are gone" in said
    assert run("reconcile", "--list", "--json") == 0
    (waiting,) = json.loads(capsys.readouterr().out)
    number = str(waiting["reconciliation_id"])
    assert f"--accept-deletes {number}" in said
    assert run("reconcile", "--accept-deletes", number) == 2, "a reason is needed"
    assert run(*options, "--accept-deletes", "0") == 2, "0 is a number, too: nothing is compared"
    assert run("reconcile", "--accept-deletes", number, "--reason", "the city has cleared its table") == 0
    assert len(names(warehouse)) == 61
    assert run("reconcile", "--list") == 0
    assert "no comparison waits" in capsys.readouterr().out
    assert run("reconcile") == 2
    assert run(*options, "--dataset", "nothing") == 2


@pytest.fixture
def folder(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three drops, admitted: of lots 60 to 69, of 1 to 40, and of 31 to 50 (corrected)."""
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    Fleet(tmp_path / "registry").add(NODE, "files", "lot", form="csv-gb18030")
    folder = tmp_path / "outbox"
    warehouse.add_connections({f"trading_{NODE}": folder.as_uri()})
    older = [lot(n, stamp="20240812100000") for n in range(1, 41)]
    newer = [lot(n, stamp="20240813100000", BID_SECTION_NAME="改") for n in range(31, 51)]
    write_drop(folder, "BID_SECTION", "20240811", csv_of([lot(n, stamp="20240811100000") for n in range(60, 70)]), 10)
    write_drop(folder, "BID_SECTION", "20240812", csv_of(older), 40)
    write_drop(folder, "BID_SECTION", "20240813", csv_of(newer), 20)
    run_night("run-1")
    run_landing_gate("run-1")
    return folder


def test_drops_that_still_lie_there_are_what_a_file_node_is_compared_with(warehouse: Warehouse, folder: Path) -> None:
    one = compare("same")
    assert (one.method, one.outcome, found(one), one.source_rows) == ("drops", "same", (0, 0, 0, 0), 70)
    before = names(warehouse)
    codes = [str(lot(n)["BID_SECTION_CODE"]) for n in (3, 35, 45)]
    with warehouse.admin() as admin:  # rows that were damaged here: what a file node sends is in its files for good
        admin.execute("delete from raw.trading__lot where bid_section_code = %s", [codes[0]])
        admin.execute(
            "update raw.trading__lot set bid_section_name = 'x' where bid_section_code = any(%s)", [codes[1:]]
        )
    done = judged("real")
    assert (done.outcome, found(done)) == ("repaired", (1, 2, 0, 0))
    assert names(warehouse) == before
    assert found(compare("again")) == (0, 0, 0, 0)


def test_drops_that_changed_or_went_are_named_and_change_nothing(warehouse: Warehouse, folder: Path) -> None:
    (folder / "BID_SECTION_20240811.csv").unlink()
    (folder / "BID_SECTION_20240811.manifest.json").unlink()
    changed = folder / "BID_SECTION_20240812.csv"
    changed.write_bytes(changed.read_bytes().replace("第3标段".encode("gb18030"), "第9标段".encode("gb18030")))
    write_drop(folder, "BID_SECTION", "20240814", csv_of([lot(90)]), 1)
    one = compare("changed")
    assert (one.outcome, found(one)) == ("same", (0, 0, 0, 0))
    assert one.unverified_rows == 30 + 10
    assert one.pending_rows == 1
    assert sorted(note.split(":")[0] for note in one.notes) == [
        "1 drops that were taken in no longer lie there (20240811)",
        "the drop of 20240812 is not what was taken in",
    ]
