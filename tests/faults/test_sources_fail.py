"""Databases that die, stay away, change or have a wrong clock: nothing is lost, a retry completes (I1, I2, I6)."""

import contextlib
import datetime as dt
import os
import signal
import time
from pathlib import Path

import psycopg
import pytest
from tests.support.faults import NEIGHBOUR, VICTIM, Scene
from tests.support.faults_nights import mended, tonight
from tests.support.faults_table import ROUNDS, Tally

from localpg import Cluster
from localpg.cluster import free_port
from yingshang.errors import ContractError, SourceUnavailable
from yingshang.ingest import close_night, ingest_node

# --- 1 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(1, "source server killed while it is read")
@pytest.mark.parametrize("variant", ["kill -9 of the server", "kill -9 of the back end", "immediate stop"])
def test_a_database_server_that_is_killed_while_it_is_read_loses_nothing(
    scene: Scene, pg_server: Cluster, tmp_path: Path, tally: Tally, variant: str
) -> None:
    scene.postgres(NEIGHBOUR, pg_server)
    server = scene.enter_context(contextlib.closing(_Server(tmp_path)))
    node = scene.postgres(VICTIM, server.cluster, rows=0)
    node.source.execute("alter table bid_section rename to lots")
    node.source.execute(
        f"""insert into lots select 'E{VICTIM}' || lpad(i::text, 13, '0') || '001',
            'E{VICTIM}' || lpad(i::text, 13, '0'), repeat('标', 490), null, null, null, i * 0.01, null, '0',
            null, null, null, null, '20240813100000', '0' from generate_series(1, 6000) i"""
    )
    node.source.execute(
        "create view bid_section as select * from lots"
        " where case when right(tender_project_code, 2) = '50' then pg_sleep(0.02) is not null else true end"
    )
    scene.whole_night()
    for _ in range(ROUNDS):
        with tally.strike(variant) as strike:
            tonight(scene)
            node.source.execute("update lots set data_timestamp = %s", scene.stamp())
            before = scene.ask("select max(cursor_high) from ops.batch where node_code = %s", VICTIM)
            read: list[int] = []

            def cut_off(_: str, rows: int) -> None:
                read.append(rows)  # noqa: B023 - of this round
                if len(read) == 1:  # noqa: B023
                    server.end(variant)

            with pytest.raises(SourceUnavailable, match=rf"trading.lot of node {VICTIM}, night {scene.night}"):
                ingest_node("trading", VICTIM, scene.run_id, on_progress=cut_off)
            assert 0 < sum(read) < 6000
            strike.hit()
            assert scene.batches() == []
            assert scene.ask("select max(cursor_high) from ops.batch where node_code = %s", VICTIM) == before
            assert scene.ingest(NEIGHBOUR) == {}
            scene.check()
            server.start()
            mended(scene)
            strike.cost = scene.cost()


class _Server:
    """A PostgreSQL server of its own, at one port, to be killed."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(folder / "source_pg", port=free_port(), settings={"fsync": "off"}).start()

    def start(self) -> None:
        self.cluster.start()
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(psycopg.OperationalError):  # it recovers
                psycopg.connect(self.cluster.superuser_dsn()).close()
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def end(self, variant: str) -> None:
        if variant == "kill -9 of the server":
            self.cluster.kill()
        elif variant == "immediate stop":
            self.cluster.stop("immediate")
        else:
            with psycopg.connect(self.cluster.superuser_dsn(), autocommit=True) as admin:
                pids = admin.execute(
                    "select pid from pg_stat_activity where application_name = 'yingshang_ingest' and state = 'active'"
                ).fetchall()
            assert pids
            for (pid,) in pids:
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self.cluster.destroy()


# --- 12 in a database -------------------------------------------------------------------------------------------------

COLUMNS: dict[str, tuple[str, str, tuple[str, ...] | None]] = {
    "added": ("add column note text", "drop column note", None),
    "required one dropped": (
        "drop column is_delete", "add column is_delete varchar default '0'", ("required IS_DELETE",)
    ),
    "key renamed": (
        "rename column bid_section_code to section_code", "rename column section_code to bid_section_code",
        ("has no column BID_SECTION_CODE", "SECTION_CODE"),
    ),
    "retyped, castable": (
        "alter column price_unit type int using price_unit::int", "alter column price_unit type varchar", None,
    ),
    "table gone": ("rename to other", "", ("there is no table bid_section",)),
}  # fmt: skip


@pytest.mark.fault(12, "columns of a table")
def test_columns_of_a_table_that_change_load_with_a_note_unless_a_required_one_is_gone(
    scene: Scene, pg_server: Cluster, tally: Tally
) -> None:
    scene.postgres(NEIGHBOUR, pg_server)
    node = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    for variant in list(COLUMNS) * ROUNDS:
        change, back, named = COLUMNS[variant]
        with tally.strike(variant) as strike:
            tonight(scene)
            node.add(5, scene.stamp())
            node.source.execute(f"alter table bid_section {change}")
            strike.hit()
            undo = f"alter table {'other rename to bid_section' if variant == 'table gone' else f'bid_section {back}'}"
            if named is None:
                mended(scene)
                ((drift,),) = scene.ask(
                    "select drift from ops.batch where run_id = %s and node_code = %s", scene.run_id, VICTIM
                )
                assert list(drift) == (["extra"] if variant == "added" else ["retyped"])
                node.source.execute(undo)
            else:
                failed = scene.ingest()
                assert list(failed) == [VICTIM]
                assert isinstance(failed[VICTIM], ContractError)
                assert all(word in str(failed[VICTIM]) for word in named), failed
                scene.check()
                node.source.execute(undo)
                mended(scene)
            strike.cost = scene.cost()


@pytest.mark.fault(12, "columns of a table")
def test_a_number_that_became_text_that_is_none_is_quarantined_row_by_row(
    scene: Scene, pg_server: Cluster, tally: Tally
) -> None:
    scene.postgres(NEIGHBOUR, pg_server)
    node = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    node.source.execute("alter table bid_section alter column contract_reckon_price type varchar")
    for _ in range(ROUNDS):
        with tally.strike("retyped, not castable") as strike:
            tonight(scene)
            node.add(5, scene.stamp())
            node.add(1, scene.stamp(), CONTRACT_RECKON_PRICE="面议")
            assert scene.ingest() == {}
            assert scene.batches()[0][2] == 1
            strike.hit()
            tonight(scene)
            node.source.execute("update bid_section set contract_reckon_price = '7', data_timestamp = %s"
                                " where contract_reckon_price = '面议'", scene.stamp())  # fmt: skip
            mended(scene)
            strike.cost = scene.cost()


# --- 8, 23 ------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(8, "node offline for three nights")
def test_a_node_that_is_offline_for_three_nights_is_named_and_catches_up(
    scene: Scene, pg_server: Cluster, tally: Tally
) -> None:
    scene.postgres("210000", pg_server)
    for code in (NEIGHBOUR, "210300", "210400"):
        scene.postgres(code, pg_server)
    node = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    dsn = node.source.dsn
    for _ in range(ROUNDS):
        with tally.strike("three nights") as strike:
            for _ in range(3):
                tonight(scene)
                node.add(4, scene.stamp())
                scene.warehouse.add_connections({f"trading_{VICTIM}": "postgresql://u:p@127.0.0.1:1/front"})
                assert list(scene.ingest()) == [VICTIM]
                report = close_night(scene.run_id, dt.datetime.now(dt.UTC))
                assert list(report.systems["trading"].absent) == [VICTIM]
                scene.publish(without=[VICTIM])
                assert scene.missing() == [VICTIM]
                scene.check()
            strike.hit()
            scene.warehouse.add_connections({f"trading_{VICTIM}": dsn})
            tonight(scene)
            node.add(4, scene.stamp())
            mended(scene)
            assert scene.missing() == []
            assert scene.batches()[0][1] >= 16, "all four nights in one window"
            strike.cost = scene.cost()


@pytest.mark.fault(23, "source clock off")
@pytest.mark.parametrize("variant", ["one hour ahead", "one hour behind", "summer time: an hour twice"])
def test_a_clock_that_is_an_hour_off_misses_and_doubles_no_row(
    scene: Scene, pg_server: Cluster, tally: Tally, variant: str
) -> None:
    """The node stamps its rows by the same clock that it tells; ours has no say."""
    scene.postgres(NEIGHBOUR, pg_server)
    node = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    for number in range(ROUNDS):
        with tally.strike(variant) as strike:
            tonight(scene)
            day, after = scene.night, scene.night + dt.timedelta(days=1)
            if variant == "one hour ahead":
                node.add(4, f"{after:%Y%m%d}013000")  # in truth 00:30, when it is read
                node.source.set_clock(f"{after:%Y%m%d}013000")
            elif variant == "one hour behind":
                node.add(4, f"{day:%Y%m%d}233000")
                node.source.set_clock(f"{day:%Y%m%d}233000")
            else:
                node.add(4, f"{day:%Y%m%d}235500")
                node.source.set_clock(f"{day:%Y%m%d}235959")
            mended(scene)
            strike.hit()
            tonight(scene)  # the clock has been set right; rows of the hour between have stamps before the last ones
            stamp = {
                "one hour ahead": f"{after:%Y%m%d}004500",
                "one hour behind": f"{day:%Y%m%d}234500",
                "summer time: an hour twice": f"{day:%Y%m%d}230500",
            }[variant]
            node.add(4, stamp)
            mended(scene)
            assert number < ROUNDS
            strike.cost = scene.cost()
