"""Drops: manifests, hashes, what lies there and should not, on any file system."""

import hashlib
import json
from pathlib import Path
from typing import Any

import fsspec
import pytest
from tests.support.ingest import NODE, csv_of, lot, write_drop

from yingshang.connectors.base import MALFORMED, Request
from yingshang.connectors.files import FilesSource, Outbox
from yingshang.contracts import load_contracts
from yingshang.errors import CredentialError, ManifestError, SourceInconsistent, SourceUnavailable
from yingshang.secrets import Connection

CONTRACT = load_contracts()["trading.lot"]
REQUEST = Request(CONTRACT.table, CONTRACT.column_names, CONTRACT.primary_key, CONTRACT.cursor)


def connection_to(uri: str, **query: str) -> Connection:
    path = uri.split("://", 1)[1]
    return Connection("trading_210100", uri, uri.split(":", 1)[0], "", None, "", "", path, query)


def outbox_of(folder: Path) -> Outbox:
    with FilesSource(connection_to(folder.as_uri()), NODE) as source:
        return source.outbox("BID_SECTION")


def read_first(folder: Path) -> list[dict[str, Any]]:
    with FilesSource(connection_to(folder.as_uri()), NODE) as source:
        drop = source.outbox("BID_SECTION").drops[0]
        with source.read(drop, REQUEST, delete_column="IS_DELETE", delete_value="1") as delivery:
            return [row for batch in delivery.batches for row in batch.to_pylist()]


def test_drops_are_listed_by_period_and_revision(tmp_path: Path) -> None:
    for period, revision in (("20240814", 1), ("20240813", 2), ("20240813", 1)):
        write_drop(tmp_path, "BID_SECTION", period, csv_of([lot(1)]), 1, revision=revision)
    write_drop(tmp_path, "BIDDER", "20240813", b"A\r\n", 0)
    found = outbox_of(tmp_path)
    assert [(drop.period, drop.revision) for drop in found.drops] == [("20240813", 1), ("20240813", 2), ("20240814", 1)]
    assert found.problems == ()


def test_a_drop_is_read_with_all_its_rows(tmp_path: Path) -> None:
    write_drop(tmp_path, "BID_SECTION", "20240813", csv_of([lot(1), lot(2)]), 2)
    rows = read_first(tmp_path)
    assert [row["BID_SECTION_CODE"] for row in rows] == [lot(1)["BID_SECTION_CODE"], lot(2)["BID_SECTION_CODE"]]
    assert rows[0]["BID_SECTION_NAME"] == "第1标段"
    assert rows[0][MALFORMED] is None


def test_a_file_without_manifest_is_named_and_others_are_read(tmp_path: Path) -> None:
    write_drop(tmp_path, "BID_SECTION", "20240813", csv_of([lot(1)]), 1)
    (tmp_path / "BID_SECTION_20240814.csv").write_bytes(b"x")
    found = outbox_of(tmp_path)
    assert len(found.drops) == 1
    assert found.problems == (
        "BID_SECTION_20240814.csv lies there without its manifest BID_SECTION_20240814.manifest.json",
    )


def test_a_manifest_without_file_is_named(tmp_path: Path) -> None:
    write_drop(tmp_path, "BID_SECTION", "20240813", csv_of([lot(1)]), 1).unlink()
    found = outbox_of(tmp_path)
    assert found.drops == ()
    assert "is there, but its file BID_SECTION_20240813.csv is not" in found.problems[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"node_code": "210200"},
        {"table": "BIDDER"},
        {"period": "2024-08-13"},
        {"sha256": "abc"},
        {"rows": -1},
        {"rows": "many"},
        {"created": "yesterday"},
        {"file": "../../etc/passwd.csv"},
        {"file": None},
    ],
)
def test_a_manifest_that_is_none_is_named_once(tmp_path: Path, wrong: dict[str, Any]) -> None:
    write_drop(tmp_path, "BID_SECTION", "20240813", csv_of([lot(1)]), 1, told=wrong)
    found = outbox_of(tmp_path)
    assert found.drops == ()
    assert len(found.problems) == 1
    assert "BID_SECTION_20240813.manifest.json" in found.problems[0]


def test_a_manifest_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "BID_SECTION_20240813.manifest.json").write_text("{")
    assert "is no manifest" in outbox_of(tmp_path).problems[0]


def test_a_file_that_is_not_that_of_its_manifest_is_not_read(tmp_path: Path) -> None:
    data = write_drop(tmp_path, "BID_SECTION", "20240813", csv_of([lot(1)]), 1)
    data.write_bytes(data.read_bytes()[:-7])
    with pytest.raises(ManifestError, match=r"BID_SECTION_20240813.csv is not the file of its manifest"):
        read_first(tmp_path)


def test_a_file_that_is_not_of_its_format_is_named(tmp_path: Path) -> None:
    write_drop(tmp_path, "BID_SECTION", "20240813", b"no workbook", 1, suffix="xlsx")
    with pytest.raises(SourceInconsistent, match=r"file BID_SECTION_20240813.xlsx: it is not an XLSX workbook"):
        read_first(tmp_path)


def test_malformed_lines_are_delivered_as_they_are(tmp_path: Path) -> None:
    write_drop(tmp_path, "BID_SECTION", "20240813", csv_of([lot(1)]) + b"a,b\r\n", 2)
    rows = read_first(tmp_path)
    assert [row[MALFORMED] for row in rows] == [None, "a,b"]


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="list of files"):
        outbox_of(tmp_path / "nowhere")


def test_a_folder_in_another_store_is_read_as_well() -> None:
    memory = fsspec.filesystem("memory")
    content = csv_of([lot(1)])
    manifest = {"node_code": NODE, "table": "BID_SECTION", "period": "20240813", "revision": 1, "rows": 1}
    told = manifest | {
        "sha256": hashlib.sha256(content).hexdigest(),
        "file": "BID_SECTION_20240813.csv",
        "created": "20240813235900",
        "charset": "GB18030",
    }
    memory.pipe("/county/BID_SECTION_20240813.csv", content)
    memory.pipe("/county/BID_SECTION_20240813.manifest.json", json.dumps(told).encode())
    with FilesSource(connection_to("memory://county"), NODE) as source:
        drop = source.outbox("BID_SECTION").drops[0]
        with source.read(drop, REQUEST, delete_column="IS_DELETE", delete_value="1") as delivery:
            assert sum(batch.num_rows for batch in delivery.batches) == delivery.announced == 1


def test_an_sftp_server_must_be_known() -> None:
    connection = Connection("trading_210101", "sftp://u:p@h/outbox", "sftp", "127.0.0.1", 1, "u", "p", "/outbox", {})
    with pytest.raises(CredentialError, match="names no host_key"), FilesSource(connection, NODE):
        pass


def test_an_sftp_server_that_is_not_there_is_unavailable() -> None:
    connection = Connection(
        "trading_210101", "sftp://u:p@h/o", "sftp", "127.0.0.1", 1, "u", "p", "/o", {"known_hosts": "none"}
    )
    with pytest.raises(SourceUnavailable, match="does not answer"), FilesSource(connection, NODE):
        pass
