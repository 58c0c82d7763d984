"""What a BI tool may read through psql: the published marts, and nothing else by any name (I8)."""

import os
import subprocess

import pytest
from tests.support.publishing import cycle, publisher

from localpg import Cluster
from yingshang import secrets


def psql(pg_server: Cluster, command: str) -> subprocess.CompletedProcess[str]:
    """psql from the wheel, as yingshang_bi_reader."""
    known = secrets.connection("warehouse_bi_reader")
    environment = {
        **os.environ,
        "PGHOST": known.host,
        "PGPORT": str(known.port),
        "PGUSER": known.login,
        "PGPASSWORD": known.password,
        "PGDATABASE": known.path.lstrip("/"),
        "PGOPTIONS": "-c default_transaction_read_only=off",  # a courtesy of the role, not its limit
    }
    return subprocess.run(
        [str(pg_server.bin_dir / "psql"), "-XAt", "-v", "ON_ERROR_STOP=1", "-c", command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_psql_reads_marts(warehouse, pg_server) -> None:
    built, _ = cycle(publisher())
    answer = psql(pg_server, "select count(*), min(_build_id), max(_build_id) from marts.fct_deal")
    assert (answer.returncode, answer.stdout.strip()) == (0, f"40|{built.build_id}|{built.build_id}"), answer.stderr
    assert psql(pg_server, "select count(*) from fct_deal natural join publication").stdout.strip() == "40"


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("serve.fct_deal", "serve"),
        ("slot_a.fct_deal", "slot_a"),
        ("slot_b.fct_deal", "slot_b"),
        ("raw.trading__lot", "raw"),
        ("ops.live", "ops"),
        ("ops.batch", "ops"),
        ("quarantine.row", "quarantine"),
    ],
)
def test_psql_is_refused_everything_else_by_name(warehouse, pg_server, name, schema) -> None:
    one = publisher()
    cycle(one)
    cycle(one)
    answer = psql(pg_server, f"select count(*) from {name}")
    assert answer.returncode != 0
    assert f"permission denied for schema {schema}" in answer.stderr


@pytest.mark.parametrize(
    "command",
    [
        "delete from marts.fct_deal",
        "drop view marts.publication",
        "create table marts.mine (id int)",
        "create view marts.mine as select 1 as one",
    ],
)
def test_psql_can_change_nothing(warehouse, pg_server, command) -> None:
    cycle(publisher())
    answer = psql(pg_server, command)
    assert answer.returncode != 0
    assert "permission denied" in answer.stderr or "must be owner" in answer.stderr
