"""The marts beside the simulated province's own books: live keys and sums per system, dataset, node and class."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from psycopg import Connection

HELD_ABOVE_YUAN = 3_000_000_000

Key = tuple[str, str, str, str]
"""system, dataset, node_code, type_code: the class of the record, empty for datasets that have none"""


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
),
records as (
    select 'trading' as system, dataset, node_code, type_code, yuan from amounts
    union all
    select 'supervision', 'batch', '210000', '', null from marts.dim_batch
    union all
    select 'supervision', 'issue', source_node_code, environment_code, null from marts.fct_issue
    union all
    select 'supervision', 'issue_event', node_code, event_type, null from marts.fct_issue_event
    union all
    select 'supervision', 'issue_outcome', node_code, outcome_type, amount_yuan from marts.fct_issue_outcome
    union all
    select 'hotline', 'department', '210000', '', null from marts.dim_department
    union all
    select 'hotline', 'expert', '210000', '', null from marts.dim_expert
    union all
    select 'hotline', 'expert_session', node_code, '', null from marts.fct_expert_session
    union all
    select 'hotline', 'policy_week', node_code, '', null from marts.fct_policy_week
    union all
    select 'hotline', 'work_order', node_code, left(class_code, 2), null from marts.fct_work_order
    union all
    select 'hotline', 'callback', node_code, '', null from marts.fct_callback
    union all
    select 'sunshine', 'registration', node_code, '', new_users from marts.fct_registration
    union all
    select 'sunshine', 'evaluation', node_code, '', participants from marts.fct_evaluation
    union all
    select 'sunshine', 'petition', node_code, '', complaints + reports from marts.fct_petition
    union all
    select
        'sunshine', 'tracked_problem', node_code,
        case problem_kind when 'public' then '1' when 'potential' then '2' else '' end, null
    from marts.fct_tracked_problem
)
select
    system,
    dataset,
    node_code,
    coalesce(type_code, ''),
    count(*),
    coalesce(sum(yuan) filter (where yuan <= %(held)s), 0),
    count(*) filter (where yuan > %(held)s),
    coalesce(sum(yuan) filter (where yuan > %(held)s), 0)
from records
group by system, dataset, node_code, coalesce(type_code, '')
union all
select 'sunshine', 'disclosure', node_code, replace(category_code, 'unknown', ''), count(*), 0, 0, 0
from marts.fct_disclosure
group by node_code, category_code
"""


def totals_in_marts(reader: Connection[Any]) -> dict[Key, Total]:
    """What the BI tool's role sees: system, dataset, node, class -> live keys and sums in yuan (or of counts)."""
    rows = reader.execute(IN_MARTS, {"held": HELD_ABOVE_YUAN}).fetchall()
    return {(row[0], row[1], row[2], row[3]): Total(*row[4:]) for row in rows}


def totals_in_books(truth_csv: Path, systems: Collection[str] = ()) -> dict[Key, Total]:
    """The same from the simulator's own books, of these systems (none named: all)."""
    found: dict[Key, Total] = {}
    with truth_csv.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if int(row["live_keys"]) == 0 or (systems and row["system"] not in systems):
                continue
            found[row["system"], row["dataset"], row["node_code"], row["type_code"]] = Total(
                int(row["live_keys"]),
                Decimal(row["amount_yuan"] or 0),
                int(row["held_keys"]),
                Decimal(row["held_amount_yuan"] or 0),
            )
    return found


def differences(reader: Connection[Any], truth_csv: Path, systems: Collection[str] = ()) -> list[str]:
    """A line for each system, dataset, node and class whose totals differ between marts and books, to the cent."""
    marts, books = totals_in_marts(reader), totals_in_books(truth_csv, systems)
    return [
        f"{key}: marts {marts.get(key)}, books {books.get(key)}"
        for key in sorted(marts.keys() | books.keys())
        if marts.get(key) != books.get(key)
    ]
