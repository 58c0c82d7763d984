"""The dashboards as a reader meets them: the real Superset of `make bi`, on a small province's published marts."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from tests.conftest import use_state

from bi.model import load
from bi.queries import query
from demo.layout import Layout, layout
from demo.processes import Service
from demo.registry import write_registry
from localpg import Cluster, free_port
from simulator import Province
from yingshang import secrets
from yingshang.cli import night as night_command
from yingshang.settings import settings
from yingshang.warehouse import connect
from yingshang.warehouse.roles import init_warehouse

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BUNDLE = load()
CHARTS = [(board.name, name) for board in BUNDLE.dashboards.values() for name in board.charts]
NOT_OF_A_CITY = {("hotline", name) for name in ("experts", "departments", "sessions", "policies")}
"""Charts of what the province alone has: experts, and One Policy Per Week."""
SHENYANG, DALIAN, PUBLIC, PROVINCE = "bi_shenyang", "bi_dalian", "bi_public", "bi_reader"


@dataclass
class Reader:
    """One user of Superset, logged in to its API."""

    client: httpx.Client
    datasets: dict[str, int] = field(default_factory=dict)

    def ask(self, board: str, name: str) -> httpx.Response:
        """A chart's data."""
        chart = BUNDLE.dashboards[board].charts[name]
        if not self.datasets:
            listed = self.client.get("/api/v1/dataset/", params={"q": "(page_size:100)"}).json()["result"]
            self.datasets = {one["table_name"]: one["id"] for one in listed}
        body = {
            "datasource": {"id": self.datasets[chart.dataset], "type": "table"},
            "queries": [query(chart, BUNDLE.datasets[chart.dataset])],
            "result_format": "json",
            "result_type": "full",
        }
        return self.client.post("/api/v1/chart/data", json=body)

    def chart(self, board: str, name: str) -> dict[str, Any]:
        answer = self.ask(board, name)
        assert answer.status_code == 200, f"{board}.{name}: {answer.text[:500]}"
        return dict(answer.json()["result"][0])

    def told(self, board: str, name: str) -> str:
        """What stands in place of a chart that can't be shown."""
        answer = self.ask(board, name)
        assert answer.status_code != 200, f"{board}.{name} is shown: {answer.text[:500]}"
        (error,) = answer.json()["errors"]
        return str(error["message"])

    def number(self, board: str, name: str) -> Any:
        (row,) = self.chart(board, name)["data"]
        (value,) = row.values()
        return value

    def sql_lab(self, statement: str) -> httpx.Response:
        (database,) = self.client.get("/api/v1/database/").json()["result"]
        token = self.client.get("/api/v1/security/csrf_token/").json()["result"]
        body = {"database_id": database["id"], "sql": statement, "schema": "marts", "runAsync": False}
        return self.client.post("/api/v1/sqllab/execute/", json=body, headers={"X-CSRFToken": token})


@dataclass(frozen=True)
class Shown:
    """A published province, and Superset on it."""

    province: Province
    cluster: Cluster
    layout: Layout
    url: str
    users: dict[str, str]
    output: str

    def admin(self) -> psycopg.Connection[Any]:
        """The administrator of the warehouse; commits at once."""
        return psycopg.connect(self.cluster.superuser_dsn("shown_in_bi"), autocommit=True)

    def reader(self, user: str) -> Reader:
        client = httpx.Client(base_url=self.url, timeout=120)
        body = {"username": user, "password": self.users[user], "provider": "db"}
        client.headers["Authorization"] = (
            f"Bearer {client.post('/api/v1/security/login', json=body).json()['access_token']}"
        )
        return Reader(client)


def bi(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m bi ...`, as the make targets call it."""
    command = [sys.executable, "-m", "bi", *arguments]
    env = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=env)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    state = tmp_path_factory.mktemp("bi")
    settings = {"fsync": "off", "full_page_writes": "off"}
    cluster = Cluster(tmp_path_factory.mktemp("pg"), port=free_port(), settings=settings)  # stopped and started again
    with pytest.MonkeyPatch.context() as patch:
        use_state(patch, state)
        patch.setenv("YINGSHANG_BI_PORT", str(port := free_port()))
        province = Province(state / "province", profile="tiny", seed=5)
        try:
            with psycopg.connect(cluster.start().superuser_dsn(), autocommit=True) as admin:
                admin.execute("create database shown_in_bi")
            province.start()
            write_registry(state / "registry", province)
            init_warehouse(cluster.superuser_dsn("shown_in_bi"))
            secrets.init_keys()
            secrets.save_connections(province.connections())
            run_night(province)
            done = bi("run")
            assert done.returncode == 0, done.stdout + done.stderr
            users = secrets_of(state)
            yield Shown(province, cluster, layout(), f"http://127.0.0.1:{port}", users, done.stdout)
        finally:
            bi("stop")
            province.destroy()
            cluster.destroy()


def secrets_of(state: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((state / "bi" / "passwords.json").read_text(encoding="utf-8"))
    return found


def run_night(province: Province) -> None:
    night_command.command(night=province.night, parallel=2, full=False)


def one(role: Any, statement: str) -> Any:
    """One value of the marts, asked of PostgreSQL itself."""
    with connect(role, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


DAY = 24 * 3600 * 1000
"""Superset tells a date in milliseconds."""
ORDERS = "select sum(orders)::int from marts.rpt_hotline_kpi"


def test_every_chart_answers_with_rows(shown: Shown) -> None:
    reader = shown.reader(PROVINCE)
    rows = {chart: reader.chart(*chart)["rowcount"] for chart in CHARTS}
    assert [chart for chart, count in rows.items() if not count] == []
    assert rows["province", "figures"] == 24
    assert rows["trading", "matrix"] == one(PROVINCE, "select count(*) from marts.rpt_connection_matrix")
    assert rows["sources", "provisions"] == one(PROVINCE, "select count(*) from marts.rpt_provision")
    assert reader.number("hotline", "orders") == one(PROVINCE, ORDERS)
    assert reader.number("trading", "lots") == one(PROVINCE, "select count(*) from marts.fct_transaction")


def test_a_cached_chart_is_of_ones_own_role(shown: Shown) -> None:
    readers = {role: shown.reader(role) for role in (PROVINCE, SHENYANG, DALIAN)}
    numbers = {}
    for role, reader in readers.items():
        first, again = reader.chart("hotline", "orders"), reader.chart("hotline", "orders")
        assert again["is_cached"], "else nothing is shown about the cache"
        numbers[role] = first["data"][0]["orders"]
        assert numbers[role] == again["data"][0]["orders"] == one(role, ORDERS)
    assert numbers[SHENYANG] + numbers[DALIAN] == numbers[PROVINCE]
    assert 0 < numbers[DALIAN] != numbers[SHENYANG] > 0


def test_a_city_sees_itself_in_every_chart(shown: Shown) -> None:
    reader, city, codes = shown.reader(SHENYANG), "沈阳市", "2101"
    for board, name in CHARTS:
        if (board, name) in NOT_OF_A_CITY:
            assert reader.told(board, name).startswith("No rows 无数据: your login sees nothing of fct_")
            continue
        for row in reader.chart(board, name)["data"]:
            assert row.get("city_name", city) == city, (board, name)
            assert str(row.get("division_label", codes)).startswith(codes), (board, name)
            assert str(row.get("division_full_name", city)).startswith(city), (board, name)
    assert {row["city_name"] for row in reader.chart("hotline", "cities")["data"]} == {city}


def test_sql_lab_of_a_city_reaches_nothing_else(shown: Shown) -> None:
    reader = shown.reader(SHENYANG)
    found = reader.sql_lab("select distinct node_code from marts.rpt_hotline_kpi")
    assert found.status_code == 200, found.text[:500]
    assert [row["node_code"] for row in found.json()["data"]] == ["210100"]
    for statement in (
        "set role yingshang_owner",
        "set session authorization yingshang_bi_dalian",
        "reset role; select distinct node_code from marts.rpt_hotline_kpi where node_code <> '210100'",
        "select * from serve.rpt_hotline_kpi",
        "select * from raw.work_order",
        "delete from marts.rpt_hotline_kpi",
    ):
        answer = reader.sql_lab(statement)
        assert answer.status_code != 200 or not answer.json()["data"], statement


def test_who_may_see_public_marts_only_is_told_so(shown: Shown) -> None:
    reader = shown.reader(PUBLIC)
    assert reader.number("trading", "lots") == one(PUBLIC, "select count(*) from marts.fct_transaction")
    assert reader.told("hotline", "orders") == (
        "permission denied for view rpt_hotline_kpi 无权查看: your login may not see it. Ask the administrator whether"
        " it should. 请联系管理员。"
    )


def test_a_new_publication_shows_new_numbers(shown: Shown) -> None:
    reader = shown.reader(PROVINCE)
    before = reader.number("hotline", "orders")
    assert reader.chart("hotline", "orders")["is_cached"]
    night = reader.chart("province", "published")["data"][0]["night"]
    shown.province.advance()
    write_registry(settings().registry_dir, shown.province)
    run_night(shown.province)
    fresh = reader.chart("hotline", "orders")
    assert not fresh["is_cached"]
    assert fresh["data"][0]["orders"] == one(PROVINCE, ORDERS) > before
    (published,) = reader.chart("province", "published")["data"]
    assert published["night"] - night == DAY
    assert published["missing_nodes"] == 0


def test_a_second_make_bi_is_quick_and_changes_nothing(shown: Shown) -> None:
    service = Service("superset", shown.layout.run, shown.layout.logs)
    before = service.process()
    done = bi("run")
    assert done.returncode == 0, done.stderr
    assert before is not None
    assert service.process() == before
    assert secrets_of(shown.layout.state) == shown.users
    assert all(password in done.stdout for password in shown.users.values())


def test_nothing_but_readers_logins_is_told_to_superset(shown: Shown) -> None:
    state = shown.layout.state / "bi"
    assert "yingshang_owner" not in (state / "logins.json").read_text(encoding="utf-8")
    for name in ("secret_key", "passwords.json", "logins.json"):
        assert (state / name).stat().st_mode & 0o077 == 0, name
    process = Service("superset", shown.layout.run, shown.layout.logs).process()
    assert process is not None
    assert not [name for name in process.environ() if name.startswith("AIRFLOW_")]


def test_an_empty_mart_is_told_as_such_and_not_as_a_zero(shown: Shown) -> None:
    reader, night = shown.reader(SHENYANG), one(SHENYANG, "select night::text from marts.publication")
    assert reader.told("hotline", "experts") == (
        f"No rows 无数据: your login sees nothing of fct_expert_session in the publication of night {night}. The"
        " dashboard Sources 数据源 shows which nodes are missing."
    )
    found = reader.sql_lab("select count(*) as sessions from marts.fct_expert_session")
    assert [row["sessions"] for row in found.json()["data"]] == [0], "a question of one's own has its own answer"
    assert shown.reader(PROVINCE).number("hotline", "experts") > 0


def test_an_incomplete_figure_says_so_beside_its_number(shown: Shown) -> None:
    set_to = "update serve.rpt_published_figure set verdict = %s, missing_nodes = %s, missing_node_codes = %s"
    with shown.admin() as admin:
        admin.execute(f"{set_to} where figure = 'hotline_experts'", ("incomplete", 2, "210102, 210103"))
        try:
            rows = shown.reader(DALIAN).chart("province", "figures")["data"]
        finally:
            admin.execute(f"{set_to} where figure = 'hotline_experts'", ("holds", 0, None))
    said = {row["verdict"]: row["missing_node_codes"] for row in rows}
    assert said == {
        "✔ holds 吻合": "none 无",
        "… incomplete 不全: 2 nodes missing 缺2节点": "210102, 210103",
    }


def test_before_the_first_publication_every_chart_says_so(shown: Shown) -> None:
    reader = shown.reader(DALIAN)
    with shown.admin() as admin:
        (live,) = admin.execute("delete from ops.live returning slot, build_id, publication_id").fetchall()
        try:
            said = {reader.told(*chart) for chart in CHARTS if chart[0] == "trading"}
            admin.execute("alter schema marts rename to marts_away")
            said.add(reader.told("trading", "lots"))
        finally:
            admin.execute("do $$ begin alter schema marts_away rename to marts; exception when others then end $$")
            admin.execute("insert into ops.live (slot, build_id, publication_id) values (%s, %s, %s)", live)
    assert said == {
        "Nothing is published yet 尚未发布: the first night has not ended. Look again when it has; the administrator"
        " sees with `yingshang status` how far it is. 首夜尚未结束，请稍后再看。"
    }
    assert reader.number("trading", "lots") > 0


def test_an_expired_password_is_told_by_every_chart(shown: Shown) -> None:
    reader = shown.reader(DALIAN)
    with shown.admin() as admin:
        admin.execute("alter role yingshang_bi_dalian valid until '2020-01-01'")
        try:
            said = {reader.told("trading", "published"), reader.told("trading", "lots")}
        finally:
            admin.execute("alter role yingshang_bi_dalian valid until 'infinity'")
    assert said == {
        "The warehouse refuses the login yingshang_bi_dalian 登录被拒绝: its password has expired or was changed, or"
        " its access has ended. Ask the administrator to renew it and to run `make bi`."
        " 口令已过期或已更改，请联系管理员。"
    }
    assert reader.number("trading", "lots") > 0


def test_a_warehouse_that_is_down_is_told_without_its_address(shown: Shown) -> None:
    reader = shown.reader(DALIAN)
    shown.cluster.stop("immediate")
    try:
        said = {reader.told("trading", "published"), reader.told("trading", "lots")}
        lab = reader.sql_lab("select 1")
    finally:
        shown.cluster.start()
    assert said == {
        "The warehouse does not answer 数据仓库无法连接. Try again in some minutes; if it stays so, tell the"
        " administrator that PostgreSQL is down or can't be reached. 请稍后重试，或联系管理员。"
    }
    assert lab.status_code != 200
    assert "The warehouse does not answer" in lab.text
    assert "127.0.0.1" not in lab.text
    assert reader.number("trading", "lots") > 0


def test_bi_stop_ends_it(shown: Shown) -> None:
    assert bi("stop").stdout.strip() == "stopped: superset"
    assert Service("superset", shown.layout.run, shown.layout.logs).process() is None
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{shown.url}/health")
