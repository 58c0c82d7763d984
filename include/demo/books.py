"""The marts beside the simulated province's own books: live keys and sums in yuan per dataset, node and type."""

import csv
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from psycopg import Connection

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
    select * from (
        select distinct on (dataset, record_key) dataset, node_code, type_code, record_key, amount_yuan
        from marts.fct_transaction_event
        where dataset in ('notice', 'result', 'performance')
        order by dataset, record_key, lot_key
    ) as records
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


def totals_in_marts(reader: Connection[Any]) -> dict[Key, Total]:
    """What the BI tool's role sees: dataset, node, type -> live keys and sums in yuan."""
    rows = reader.execute(IN_MARTS, {"held": HELD_ABOVE_YUAN}).fetchall()
    return {(row[0], row[1], row[2]): Total(*row[3:]) for row in rows}


def totals_in_books(truth_csv: Path) -> dict[Key, Total]:
    """The same from the simulator's own books of trading."""
    found: dict[Key, Total] = {}
    with truth_csv.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["system"] != "trading" or int(row["live_keys"]) == 0:
                continue
            found[row["dataset"], row["node_code"], row["type_code"]] = Total(
                int(row["live_keys"]),
                Decimal(row["amount_yuan"] or 0),
                int(row["held_keys"]),
                Decimal(row["held_amount_yuan"] or 0),
            )
    return found


def differences(reader: Connection[Any], truth_csv: Path) -> list[str]:
    """A line for each (dataset, node, type) whose totals in the marts are not those of the books, to the cent."""
    marts, books = totals_in_marts(reader), totals_in_books(truth_csv)
    return [
        f"{key}: marts {marts.get(key)}, books {books.get(key)}"
        for key in sorted(marts.keys() | books.keys())
        if marts.get(key) != books.get(key)
    ]
