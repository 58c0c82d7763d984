"""Marts built night by night equal marts built from nothing, in every order of arrival (invariant I4)."""

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import TEMPLATE, use_state
from tests.support.trading_raw import (
    FIRST_NIGHT,
    KEYS,
    Models,
    RawLog,
    copied_project,
    deal_code,
    lot_code,
    project_code,
)

from localpg import Cluster
from yingshang.secrets import connection as saved_connection

CITY, COUNTY, OTHER_CITY = "210300", "210321", "210200"
NODES = ("210000", CITY, COUNTY, OTHER_CITY)


def night(number: int) -> dt.date:
    return FIRST_NIGHT + dt.timedelta(days=number)


DATABASE, SEEDED = "models", "models_seeded"
"""One name for the database of every test: dbt parses anew whenever the environment of its profile changes."""


@dataclass(frozen=True)
class Server:
    """Where the databases of these tests are made."""

    cluster: Cluster
    environment: dict[str, str]
    targets: Path

    def make(self, name: str, template: str) -> None:
        with psycopg.connect(self.cluster.superuser_dsn(), autocommit=True) as admin:
            admin.execute(f"drop database if exists {name} with (force)")
            admin.execute(f"create database {name} template {template}")

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.cluster.superuser_dsn(DATABASE), autocommit=True)


@pytest.fixture(scope="module")
def server(pg_server: Cluster, warehouse_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A warehouse whose slots have their seeds, to copy; dbt has parsed the project for both."""
    with pytest.MonkeyPatch.context() as patch:
        use_state(patch, warehouse_template)
        transform = saved_connection("warehouse_transform")
    environment = {
        "YINGSHANG_DBT_HOST": str(transform.host),
        "YINGSHANG_DBT_PORT": str(transform.port),
        "YINGSHANG_DBT_USER": str(transform.login),
        "YINGSHANG_DBT_PASSWORD": str(transform.password),
        "YINGSHANG_DBT_DBNAME": DATABASE,
    }
    found = Server(pg_server, environment, tmp_path_factory.mktemp("dbt"))
    found.make(DATABASE, TEMPLATE)
    with found.connect() as connection:
        for slot in ("slot_a", "slot_b"):
            Models(connection, environment, found.targets).seed(slot)
    found.make(SEEDED, DATABASE)
    yield found
    for name in (DATABASE, SEEDED):
        with psycopg.connect(pg_server.superuser_dsn(), autocommit=True) as admin:
            admin.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def admin(server: Server) -> Iterator[psycopg.Connection[Any]]:
    server.make(DATABASE, SEEDED)
    with server.connect() as connection:
        yield connection


@pytest.fixture
def log(admin: psycopg.Connection[Any]) -> RawLog:
    return RawLog(admin)


@pytest.fixture
def models(admin: psycopg.Connection[Any], server: Server) -> Models:
    return Models(admin, server.environment, server.targets)


# --- told nights ------------------------------------------------------------------------------------------------------


def test_every_kind_of_change_reaches_the_incremental_build(log: RawLog, models: Models) -> None:
    """Corrections, withdrawals, moves, late parents, superseded drops, opposite orders of load and admission."""
    p1, p2, p3, late = (project_code(CITY, n) for n in (1, 2, 3, 9))
    a, b, c, orphan = lot_code(p1, 1), lot_code(p1, 2), lot_code(p2, 1), lot_code(late, 1)
    code = deal_code("A01", "20240110", 1)

    def project(number: str, at: str, **more: Any) -> dict[str, Any]:
        return {"tender_project_code": number, "unified_deal_code": code, "data_timestamp": at, **more}

    def lot(number: str, at: str, **more: Any) -> dict[str, Any]:
        return {
            "bid_section_code": number, "tender_project_code": number[:20], "unified_deal_code": code,
            "region_code": CITY, "contract_reckon_price": 100, "price_unit": "0", "create_time": "20240110",
            "data_timestamp": at, **more,
        }  # fmt: skip

    def notice(url: str, lots: str, at: str, **more: Any) -> dict[str, Any]:
        return {
            "url": url, "tender_project_code": p1, "bid_section_codes": lots, "unified_deal_codes": code,
            "notice_nature": "1", "bulletin_type": "1", "notice_send_time": "20240111", "data_timestamp": at, **more,
        }  # fmt: skip

    def bid(number: str, bidder: str, at: str, **more: Any) -> dict[str, Any]:
        return {
            "bid_section_code": number, "bidder_org_code": bidder, "tender_project_code": number[:20],
            "unified_deal_code": code, "price_form_code": "1", "bid_price": 90, "price_unit": "1",
            "data_timestamp": at, **more,
        }  # fmt: skip

    # the first load: p3 comes in a batch of its own, which is withdrawn later; `late` has a lot and no project
    log.admitted("project", CITY, project(p1, "20240110120000"), project(p2, "20240110120000"))
    only_p3 = log.admitted("project", CITY, project(p3, "20240110120000"))
    log.admitted(
        "lot", CITY, *(lot(n, "20240110120000") for n in (a, b, c, orphan)), lot(lot_code(p3, 1), "20240110120000")
    )
    log.admitted("notice", CITY, notice("u1", f"{a};{b}", "20240111120000"), notice("u2", c, "20240111120000"),
                 notice("u0", "", "20240111120000"))  # fmt: skip
    log.admitted("bid", CITY, bid(a, "X", "20240112120000"), bid(lot_code(p1, 7), "X", "20240112120000"))
    drop = log.batch("result", COUNTY, [
        {"bid_section_code": b, "win_bidder_code": "X", "tender_project_code": p1, "unified_deal_code": code,
         "price_form_code": "1", "bid_amount": 5, "price_unit": "1", "notice_send_time": "20240113",
         "data_timestamp": "20240113120000"}], drop="20240813")  # fmt: skip
    log.say("admitted", drop)
    models.build("slot_a", to_seq=log.max_seq(), full=True)
    models.build("slot_b", to_seq=log.max_seq(), full=True)
    assert models.differences("slot_a", "slot_b") == {}
    assert models.row(f"select is_orphan from slot_a.fct_transaction where lot_code = '{orphan}'") == (True,)
    of_no_lot = models.row("select lot_code, is_orphan from slot_a.fct_transaction_event where record_key = 'u0'")
    assert of_no_lot == (None, True)

    # second night: a moves to another region and month; its notice drops it; the late project comes; the bid is
    # deleted; two corrections of c are loaded in one order and admitted in the other, with the same cursor
    log.admitted(
        "lot", CITY, lot(a, "20240814090000", region_code=OTHER_CITY, create_time="20240301080000"), night=night(1)
    )
    log.admitted("notice", CITY, notice("u1", b, "20240814090000"), night=night(1))
    log.admitted("project", CITY, project(late, "20240814090000"), night=night(1))
    log.admitted("bid", CITY, bid(a, "X", "20240814090000", is_delete="T"), night=night(1))
    earlier = log.batch("lot", CITY, [lot(c, "20240814100000", contract_reckon_price=1)], night=night(1))
    later = log.batch("lot", CITY, [lot(c, "20240814100000", contract_reckon_price=2)], night=night(1))
    log.say("admitted", later)
    log.say("admitted", earlier)
    models.build("slot_a", to_seq=log.max_seq(), night=night(1))
    models.build("slot_b", to_seq=log.max_seq(), night=night(1), full=True)
    assert models.differences("slot_a", "slot_b") == {}
    moved = models.row(f"select region_code, created_date, notices from slot_a.fct_transaction where lot_code = '{a}'")
    assert moved == (OTHER_CITY, dt.date(2024, 3, 1), 0)
    assert models.row(f"select reckon_price_yuan from slot_a.fct_transaction where lot_code = '{c}'") == (1,)
    assert models.row(f"select is_orphan from slot_a.fct_transaction where lot_code = '{orphan}'") == (False,)
    assert models.rows(f"select 1 from slot_a.fct_bid where lot_code = '{a}'") == []

    # third night: a project's only version is withdrawn, a drop is superseded, a lot is deleted, u2 is withdrawn,
    # the lot of the orphan bid arrives
    log.say("withdrawn", only_p3)
    again = log.batch("result", COUNTY, [
        {"bid_section_code": a, "win_bidder_code": "Y", "tender_project_code": p1, "unified_deal_code": code,
         "price_form_code": "2", "other_bid_amount": "95%", "data_timestamp": "20240113120000"}],
        night=night(2), drop="20240813")  # fmt: skip
    log.say("superseded", drop)
    log.say("admitted", again)
    log.admitted(
        "lot", CITY, lot(b, "20240815090000", is_delete="1"), lot(lot_code(p1, 7), "20240815090000"), night=night(2)
    )
    log.admitted("notice", CITY, notice("u2", c, "20240815090000", is_delete="1"), night=night(2))
    models.build("slot_a", to_seq=log.max_seq(), night=night(2))
    models.build("slot_b", to_seq=log.max_seq(), night=night(2), full=True)
    assert models.differences("slot_a", "slot_b") == {}
    assert models.rows(f"select 1 from slot_a.dim_project where project_code = '{p3}'") == []
    assert models.row(f"select is_orphan from slot_a.fct_transaction where project_code = '{p3}'") == (True,)
    assert models.rows(f"select 1 from slot_a.fct_transaction where lot_code = '{b}'") == []
    assert models.row("select distinct is_orphan from slot_a.fct_transaction_event where record_key = 'u1'") == (True,)
    assert models.row(f"select is_withdrawn from slot_a.fct_transaction where lot_code = '{c}'") == (True,)
    assert models.row("select award_yuan from slot_a.fct_transaction where awards > 0") == (None,)
    assert models.row("select is_orphan from slot_a.fct_bid") == (False,)


# --- seeded nights ----------------------------------------------------------------------------------------------------


@dataclass
class Province:
    """Nights of a small province, at random by seed: everything that can become of a record does."""

    log: RawLog
    random: random.Random
    number: int = 0
    live: dict[str, dict[tuple[str, ...], dict[str, Any]]] = field(default_factory=lambda: {name: {} for name in KEYS})
    waiting: list[int] = field(default_factory=list)
    admitted: list[int] = field(default_factory=list)
    drops: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def pass_night(self) -> None:
        """Some records change; some batches are admitted, in any order; some events undo earlier ones."""
        tonight = night(self.number)
        for dataset in KEYS:
            for node in NODES:
                if self.random.random() < (0.9 if self.number == 0 else 0.5):
                    self._deliver(dataset, node, tonight)
        self.random.shuffle(self.waiting)
        kept_back = [one for one in self.waiting if self.random.random() < 0.15]
        chosen = [one for one in self.waiting if one not in kept_back]
        if chosen:
            self.log.say("admitted", *chosen)
        self.admitted += chosen
        self.waiting = kept_back
        if self.number and self.admitted:
            for batch_id in self.random.sample(self.admitted, min(3, len(self.admitted))):
                self.log.say(self.random.choice(["withdrawn", "superseded"]), batch_id)
                if self.random.random() < 0.3:
                    self.log.say("admitted", batch_id)
                else:
                    self.admitted.remove(batch_id)
        self.number += 1

    def _deliver(self, dataset: str, node: str, tonight: dt.date) -> None:
        rows = {}
        for _ in range(self.random.randint(1, 20 if self.number == 0 else 4)):
            row = self._version(dataset, node)
            rows[tuple(row[key] for key in KEYS[dataset])] = row
        self.waiting.append(self.log.batch(dataset, node, rows.values(), night=tonight))

    def _version(self, dataset: str, node: str) -> dict[str, Any]:
        pick = self.random.choice
        at = f"202408{13 + self.number - (self.random.random() < 0.2):02d}{self.random.randint(0, 3):02d}0000"
        project = project_code(node, self.random.randint(1, 6))
        lots = [lot_code(project, self.random.randint(1, 3)) for _ in range(self.random.randint(0, 3))]
        source = pick(["A01", "A06", "B02", "C01", "E01", "E09", "D01", "Z99"])
        code = deal_code(source, pick(["20220505", "20240105"]), self.random.randint(1, 9))
        row = {
            "tender_project_code": project, "unified_deal_code": pick([code, code, code, None]), "data_timestamp": at,
            "is_delete": pick(["0", "F", "0", "F", "0", "1", "T"]), "price_unit": pick(["0", "1"]),
        }  # fmt: skip
        time = pick(["20240105", "20240217093000", "20240630", None])
        price = pick([None, 12.345678, 100, 400_000, 3_000_000_001])
        one, form, firm = lot_code(project, self.random.randint(1, 3)), pick(["1", "1", "2", "9"]), pick("XYZ")
        own: dict[str, dict[str, Any]] = {
            "project": {"create_time": time, "tenderer_code": firm, "tenderer_name": f"{firm} {at}"},
            "lot": {
                "bid_section_code": one, "region_code": pick(NODES), "contract_reckon_price": price,
                "create_time": time,
            },
            "notice": {
                "url": f"http://{node}/{self.random.randint(1, 12)}", "bid_section_codes": ";".join(lots) or None,
                "unified_deal_codes": pick([code, ";".join([code] * len(lots))]), "notice_send_time": time,
                "notice_nature": pick(["1", "1", "1", "2", "3"]), "bulletin_type": pick("1124"),
            },
            "bid": {
                "bid_section_code": one, "bidder_org_code": firm, "bidder_name": f"{firm} {at}",
                "price_form_code": form, "bid_price": price, "checkin_time": time,
                "is_lost": pick(["0", "F", "1", "T"]),
            },
            "result": {
                "bid_section_code": one, "win_bidder_code": firm, "price_form_code": form, "bid_amount": price,
                "notice_send_time": time,
            },
            "contract": {
                "bid_section_code": one, "bidder_code": firm, "tender_code": pick("UVW"), "contract_price": price,
                "contract_sign_time": time,
            },
            "performance": {"bid_section_code": one, "settle_price": price, "finish_time": time},
        }  # fmt: skip
        return {**row, **own[dataset]}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_night_by_night_equals_from_nothing_in_any_order(seed: int, log: RawLog, models: Models) -> None:
    """Random nights with withheld, withdrawn, superseded and readmitted batches, ties of cursors and skipped builds."""
    province = Province(log, random.Random(seed))
    province.pass_night()
    models.build("slot_a", to_seq=log.max_seq(), full=True)
    for number in range(1, 3):
        for _ in range(province.random.randint(1, 2)):
            province.pass_night()
        tonight = night(province.number - 1)
        models.build("slot_a", to_seq=log.max_seq(), night=tonight)
        models.build("slot_b", to_seq=log.max_seq(), night=tonight, full=True)
        assert models.differences("slot_a", "slot_b") == {}, f"seed {seed}, build {number}"
    assert models.row("select count(*) > 10 from slot_a.fct_transaction") == (True,)


# --- controls that must go red ----------------------------------------------------------------------------------------

REPLACE = "macros/replace_keys.sql"
DELETE = '({{ touched_keys() }}) as k\n    where t.{{ arg_dict["unique_key"] }} = k.key'
CONTROLS = {
    # dbt's own delete+insert: only keys that still have rows are deleted
    "vanished keys stay": (
        DELETE,
        '(select {{ arg_dict["unique_key"] }} as key from {{ arg_dict["temp_relation"] }}) as k\n'
        '    where t.{{ arg_dict["unique_key"] }} = k.key',
    ),
    # nothing is deleted
    "no delete": (DELETE, "(select 1) as k\n    where false"),
}


@pytest.mark.parametrize("control", list(CONTROLS))
def test_control_without_the_delete_of_touched_keys_it_goes_red(
    control: str, admin: psycopg.Connection[Any], server: Server, log: RawLog, tmp_path: Path
) -> None:
    """The comparison (or the unique index of a fact) notices a build that leaves touched keys in place."""
    project = copied_project(tmp_path, {REPLACE: CONTROLS[control]})
    models = Models(admin, server.environment, tmp_path / "dbt", project)
    province = Province(log, random.Random(1))
    province.pass_night()
    models.build("slot_a", to_seq=log.max_seq(), full=True)
    province.pass_night()
    models.open("slot_a", to_seq=log.max_seq(), night=night(1))
    result = models.run("run", "slot_a")
    if not result.success:
        messages = " ".join(str(one.message) for one in result.result.results)
        assert control == "no delete"
        assert "duplicate key value violates unique constraint" in messages
        return
    models.build("slot_b", to_seq=log.max_seq(), night=night(1), full=True)
    assert "fct_transaction" in models.differences("slot_a", "slot_b")
