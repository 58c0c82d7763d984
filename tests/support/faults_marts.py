"""Two small marts made of raw and the ledger in plain SQL, published by the real publisher.

They say what readers see of the lots, in a tenth of a second; the project's own models are compared with the
simulator's books elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from tests.support.publishing import Verdict, gate

from yingshang.publish.machine import Publisher
from yingshang.publish.model import Build, BuildOutcome, Limits, NodeResult, Plan, SlotName
from yingshang.warehouse import connect
from yingshang.warehouse.rights import MartRights

MARTS = ("fct_lot", "rpt_node")
LOT_COLUMNS = "node_code text, lot_code text, lot_name text, reckon_price numeric(20, 6), data_timestamp text"
NODE_COLUMNS = "node_code text, lots bigint, reckon_price numeric"

LOTS = """
    with visible as (
        select b.batch_id, b.node_code, last.seq
        from ops.batch as b
        cross join lateral (
            select e.event, e.seq from ops.batch_event as e
            where e.batch_id = b.batch_id and e.seq <= {to_seq} order by e.seq desc limit 1
        ) as last
        where b.system = 'trading' and b.dataset = 'lot' and last.event = 'admitted'
    ), latest as (
        select distinct on (r.bid_section_code) v.node_code, r.*
        from raw.trading__lot as r inner join visible as v on v.batch_id = r._batch_id
        order by r.bid_section_code, r.data_timestamp desc, v.seq desc, r._row desc
    )
    select node_code, bid_section_code, bid_section_name, contract_reckon_price, data_timestamp, {slot}, {build_id}
    from latest where is_delete in ('0', 'F')
"""
NODES = """
    select node_code, count(*), sum(reckon_price), {slot}, {build_id} from {lots} group by node_code
"""


@dataclass
class LotBuilder:
    """Writes both marts whole. ``during``: called between them."""

    during: Callable[[Build], None] | None = None

    def plan(self, slot: SlotName, last_success: int | None) -> Plan:
        return Plan(MARTS, "lots-1", rights={mart: MartRights("public") for mart in MARTS})

    def run(self, plan: Plan, build: Build) -> BuildOutcome:
        with connect("transform", application_name="yingshang dbt") as conn:
            self._write(conn, build, "fct_lot", LOT_COLUMNS, LOTS)
            conn.commit()
            if self.during:
                self.during(build)
            self._write(conn, build, "rpt_node", NODE_COLUMNS, NODES)
        return BuildOutcome(tuple(NodeResult(f"model.{mart}", "model", "success", 0.0) for mart in MARTS))

    def keep(self, plan: Plan, build: Build) -> None:
        pass

    def _write(self, conn: Any, build: Build, mart: str, columns: str, query: str) -> None:
        table = sql.Identifier(build.slot, mart)
        conn.execute(sql.SQL("drop table if exists {}").format(table))
        conn.execute(
            sql.SQL("create table {} ({}, _slot text not null check (_slot = {}), _build_id bigint not null)").format(
                table, sql.SQL(columns), build.slot
            )
        )
        conn.execute(
            sql.SQL("insert into {} ").format(table)
            + sql.SQL(query).format(
                slot=build.slot, build_id=build.build_id, to_seq=build.to_seq,
                lots=sql.Identifier(build.slot, "fct_lot"),
            )
        )  # fmt: skip


def lot_publisher(builder: LotBuilder | None = None, **changes: Any) -> Publisher:
    """The publisher of these marts; who is missing is said by the registry."""
    limits = Limits(reader_wait=10, publish_wait=30)
    usual = {"audit": gate, "probe": lambda build_id: Verdict(True), "limits": limits}
    return Publisher(builder=builder or LotBuilder(), **{**usual, **changes})
