"""Compares a warehouse with the truth of the simulated province, which comes from its own books."""

import csv
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from psycopg import Connection, sql

from yingshang.contracts import load_contracts

HELD_ABOVE_YUAN = 3_000_000_000

Key = tuple[str, str, str]
"""dataset, node_code, type_code"""


@dataclass(frozen=True)
class Total:
    """Live keys, and sums in yuan of amounts that are not held, and of those that are."""

    live_keys: int
    amount_yuan: Decimal
    held_keys: int
    held_amount_yuan: Decimal


IN_MARTS = """
with amounts as (
    select 'project' as dataset, node_code, type_code, project_code as key, null::numeric as yuan from marts.dim_project
    union all
    select 'lot', node_code, type_code, lot_code, reckon_price_yuan from marts.fct_transaction
    union all
    select 'bid', node_code, type_code, lot_code || bidder_code, bid_price_yuan from marts.fct_bid
    union all
    select 'contract', node_code, type_code, lot_code || contractor_code, contract_price_yuan from marts.fct_contract
    union all
    select distinct on (dataset, record_key) dataset, node_code, type_code, record_key, amount_yuan
    from marts.fct_transaction_event
    where dataset in ('notice', 'result', 'performance')
    order by dataset, record_key, lot_key
)
select
    dataset,
    node_code,
    type_code,
    count(*),
    coalesce(sum(yuan) filter (where yuan <= %(held)s), 0),
    count(*) filter (where yuan > %(held)s),
    coalesce(sum(yuan) filter (where yuan > %(held)s), 0)
from amounts
group by dataset, node_code, type_code
"""


def totals_in_marts(reader: Connection) -> dict[Key, Total]:
    """What the BI tool's role sees: dataset, node, type -> live keys and sums in yuan."""
    rows = reader.execute(IN_MARTS, {"held": HELD_ABOVE_YUAN}).fetchall()
    return {(row[0], row[1], row[2]): Total(*row[3:]) for row in rows}


def totals_in_books(truth_csv: Path) -> dict[Key, Total]:
    """The same from the simulator's own books."""
    found: dict[Key, Total] = {}
    with truth_csv.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if int(row["live_keys"]) == 0:
                continue
            found[row["dataset"], row["node_code"], row["type_code"]] = Total(
                int(row["live_keys"]),
                Decimal(row["amount_yuan"] or 0),
                int(row["held_keys"]),
                Decimal(row["held_amount_yuan"] or 0),
            )
    return found


def assert_marts_equal_books(reader: Connection, truth_csv: Path) -> None:
    """Counts and sums in yuan per dataset, node and type are those of the books, to the cent."""
    marts, books = totals_in_marts(reader), totals_in_books(truth_csv)
    assert books, f"{truth_csv} is empty"
    wrong = [
        f"{key}: marts {marts.get(key)}, books {books.get(key)}"
        for key in sorted(marts.keys() | books.keys())
        if marts.get(key) != books.get(key)
    ]
    assert not wrong, f"{len(wrong)} of {len(books)} totals differ:\n" + "\n".join(wrong[:12])


def assert_nothing_lost(owner: Connection) -> None:
    """I1 for every batch, with counts taken in raw and quarantine, not those that the ledger states."""
    for contract in load_contracts().values():
        in_raw = dict(
            owner.execute(
                sql.SQL("select _batch_id, count(*) from {} group by 1").format(
                    sql.Identifier("raw", contract.raw_table)
                )
            ).fetchall()
        )
        in_quarantine = dict(
            owner.execute(
                "select batch_id, count(*) from quarantine.row where dataset = %s and batch_id is not null group by 1",
                (contract.dataset,),
            ).fetchall()
        )
        batches = owner.execute(
            "select batch_id, source_rows, duplicate_rows from ops.batch where system = %s and dataset = %s",
            (contract.system, contract.dataset),
        ).fetchall()
        for batch_id, source_rows, duplicates in batches:
            found = in_raw.pop(batch_id, 0) + in_quarantine.pop(batch_id, 0) + duplicates
            assert found == source_rows, (contract.name, batch_id, source_rows, found)
        assert not in_raw, f"{contract.name}: rows in raw of batches that the ledger does not know: {in_raw}"
        assert not in_quarantine, (contract.name, in_quarantine)


def rows_read(owner: Connection, run_id: str) -> Counter[tuple[str, str]]:
    """Rows read in a run by dataset and node, as the ledger states them."""
    rows = owner.execute(
        "select dataset, node_code, sum(source_rows)::bigint from ops.batch where run_id = %s group by 1, 2", (run_id,)
    ).fetchall()
    return Counter({(dataset, node): number for dataset, node, number in rows if number})
