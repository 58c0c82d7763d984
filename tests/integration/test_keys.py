"""Keys of an installation: without them nothing is stored; a new one changes no digest and loses no row."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken
from tests.conftest import Warehouse
from tests.support.ingest import PgSource, bid, pg_node, run_night

from localpg import Cluster
from yingshang import secrets
from yingshang.errors import CredentialError
from yingshang.settings import settings

BROKEN = bid(9, BID_PRICE="-1")


@pytest.fixture
def source(
    pg_server: Cluster, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PgSource]:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    with pg_node(warehouse, pg_server, tmp_path / "registry", "bid") as made:
        made.insert("bid", bid(1), bid(2), BROKEN)
        yield made


def stored(warehouse: Warehouse) -> list[int]:
    with warehouse.admin() as admin:
        counts = [
            admin.execute(f"select count(*) from {table}").fetchone()
            for table in ("raw.trading__bid", "quarantine.row", "ops.batch")
        ]
    return [*(row[0] for row in counts if row), sum(1 for _ in (warehouse.state / "landing").rglob("*.parquet*"))]


@pytest.mark.parametrize("broken", ["missing", "cut off"])
def test_without_keys_nothing_is_stored_and_it_is_said_what_to_do(
    warehouse: Warehouse, source: PgSource, broken: str
) -> None:
    kept = settings().keys.read_text()
    if broken == "missing":
        settings().keys.unlink()
    else:
        settings().keys.write_text(kept[:60])
    with pytest.raises(CredentialError, match=r"no keys.*yingshang keys init"):
        run_night("one")
    assert stored(warehouse) == [0, 0, 0, 0]
    settings().keys.write_text(kept)
    run_night("one")
    assert stored(warehouse) == [2, 1, 1, 1], "what fails when there are keys would be another matter"


def test_a_new_key_changes_tokens_but_no_digest_and_old_rows_stay_readable(
    warehouse: Warehouse, source: PgSource
) -> None:
    run_night("one")
    assert (secrets.rotate_key("hmac"), secrets.rotate_key("quarantine")) == ("k2", "q2")
    run_night("two")
    with warehouse.admin() as admin:
        rows = admin.execute(
            "select bid_section_code, array_agg(distinct left(pm_code, 3) order by left(pm_code, 3)),"
            " count(distinct pm_code), count(distinct _digest), count(distinct _batch_id)"
            " from raw.trading__bid group by 1"
        ).fetchall()
        assert len(rows) == 2
        assert [row[1:] for row in rows] == [(["k1:", "k2:"], 2, 1, 2)] * 2
        quarantined = admin.execute("select key_id, payload from quarantine.row order by key_id").fetchall()
    assert [key_id for key_id, _ in quarantined] == ["q1", "q2"]
    ring = secrets.keys().quarantine
    for key_id, payload in quarantined:
        assert str(BROKEN["PM_CODE"]) in Fernet(ring.keys[key_id]).decrypt(payload).decode()
    with pytest.raises(InvalidToken):
        Fernet(ring.keys["q2"]).decrypt(quarantined[0][1])
