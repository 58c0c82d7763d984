"""Drops over SFTP, from a real server that is right, wrong, or stalls."""

from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from tests.support.ingest import NODE, csv_of, lot, write_drop
from tests.support.sftp_county import County, serving

from yingshang.connectors.base import Request
from yingshang.connectors.files import FilesSource
from yingshang.contracts import load_contracts
from yingshang.errors import CredentialError, SourceUnavailable
from yingshang.secrets import Connection

CONTRACT = load_contracts()["trading.lot"]
REQUEST = Request(CONTRACT.table, CONTRACT.column_names, CONTRACT.primary_key, CONTRACT.cursor)


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    write_drop(tmp_path / "outbox", "BID_SECTION", "20240813", csv_of([lot(n) for n in range(2000)]), 2000)
    with serving(tmp_path) as county:
        yield county


def read(connection: Connection, *, call_seconds: float = 20.0) -> int:
    with FilesSource(connection, NODE, call_seconds=call_seconds) as source:
        drop = source.outbox("BID_SECTION").drops[0]
        with source.read(drop, REQUEST, delete_column="IS_DELETE", delete_value="1") as delivery:
            return sum(batch.num_rows for batch in delivery.batches)


def test_a_drop_is_read_over_sftp(county: County) -> None:
    assert read(county.connection()) == 2000


def test_a_plus_in_a_host_key_may_have_become_a_blank(county: County) -> None:
    assert read(county.connection(host_key=county.host_key.replace("+", " "))) == 2000


def test_a_wrong_password_is_told_as_such(county: County) -> None:
    with pytest.raises(CredentialError, match="refuses us"):
        read(county.connection(password="wrong"))


def test_a_server_with_another_key_is_not_trusted(county: County) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode()
    with pytest.raises(CredentialError, match=r"refuses us .*HostKeyNotVerifiable"):
        read(county.connection(host_key=" ".join(other.split()[:2])))


def test_a_server_that_stalls_is_unavailable(county: County) -> None:
    county.stalls.set()
    with pytest.raises(SourceUnavailable, match="does not answer or breaks off"):
        read(county.connection(), call_seconds=1.0)
