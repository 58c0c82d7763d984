"""Reading nights again on purpose: what would be read, for any nodes, datasets and nights. Reading itself is
:func:`yingshang.ingest.ingest_node` with :class:`yingshang.ingest.Again`, in a run of its own per night.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from yingshang.errors import UsageError
from yingshang.ingest.night import SHANGHAI

if TYPE_CHECKING:
    from yingshang.contracts.registry import Provision, Registry
    from yingshang.warehouse import PgConnection
    from yingshang.warehouse.ledger import Batch

REPLACED_KINDS = ("window", "reload")


@dataclass(frozen=True)
class PlannedRead:
    """What would be asked of one provision for one night.

    Attributes:
        kind: ``reload``: the bounds of the night again; ``window``: it was never read for this night, so its next
            window is read, as the nightly run would; ``drop``: the drops taken in for the night, and new ones.
        low, high: cursor range ``low < cursor <= high``, None: no bound. None for drops.
        drops: periods of the drops that would be read again.
        loaded_rows: rows that stand visible in raw for the night.
        replaces: batches that an admitted read would supersede.
    """

    night: date
    system: str
    dataset: str
    node_code: str
    level: str
    kind: Literal["window", "reload", "drop"]
    low: str | None
    high: str | None
    drops: tuple[str, ...]
    loaded_rows: int
    replaces: tuple[int, ...]

    def __str__(self) -> str:
        """Kind and range in words."""
        if self.kind == "drop":
            return f"drops {', '.join(self.drops)}" if self.drops else "new drops"
        if self.low is None and self.high is None:
            return "everything"
        of = "next window" if self.kind == "window" else "cursor"
        return f"{of} {f'after {self.low}' if self.low else 'from the beginning'}" + (
            f" up to {self.high}" if self.high else ""
        )


def nights_between(first: date, last: date) -> list[date]:
    """All nights of a range. Raises UsageError when it is empty or has not ended in Shanghai."""
    newest = datetime.now(SHANGHAI).date() - timedelta(days=1)
    if first > last:
        raise UsageError(f"the first night {first} is after the last {last}")
    if last > newest:
        raise UsageError(f"the night {last} has not ended; the newest night is {newest}")
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def run_of(base: str, night: date) -> str:
    """Id of the run of one night of a reload. The same base goes on where an earlier attempt ended."""
    return f"{base}:{night}"


def plan_reload(
    system: str,
    nights: Sequence[date],
    *,
    datasets: Collection[str] = (),
    nodes: Collection[str] = (),
    is_replacement: bool = False,
) -> list[PlannedRead]:
    """What would be read: from registry and ledger, nothing is asked of a source.

    Args:
        datasets, nodes: only these; empty: all that the system has.

    Raises:
        UsageError: none of the nodes provides any of this in these nights, or a dataset is unknown.
        RegistryError: unknown system or node.
    """
    from yingshang.contracts.registry import load_registry
    from yingshang.warehouse import session

    registry = load_registry()
    wanted = [(night, one) for night in nights for one in _provisions(registry, system, night, datasets, nodes)]
    if not wanted:
        of = f" ({', '.join(sorted(datasets))})" if datasets else ""
        raise UsageError(
            f"no node asked for provides {system}{of} in these nights: see include/registry/provisions.csv"
        )
    with session("ingest") as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        reads: list[PlannedRead] = []
        for night in nights:
            known = _by_provision(connection, system, night)
            reads += [
                _planned(connection, one, night, registry.node(one.node_code).level, known, is_replacement)
                for of_night, one in wanted
                if of_night == night
            ]
    return reads


def _provisions(
    registry: Registry, system: str, night: date, datasets: Collection[str], nodes: Collection[str]
) -> list[Provision]:
    every = registry.provisions_of(system)
    unknown = sorted(set(datasets) - {one.dataset for one in every})
    if unknown:
        there = ", ".join(sorted({one.dataset for one in every}))
        raise UsageError(f"{system} has no dataset {', '.join(unknown)}; it has {there}")
    for code in nodes:
        registry.node(code)
    return [
        one
        for one in registry.provisions_of(system, night=night)
        if (not datasets or one.dataset in datasets) and (not nodes or one.node_code in nodes)
    ]


def _by_provision(connection: PgConnection, system: str, night: date) -> dict[tuple[str, str], list[Batch]]:
    from yingshang.warehouse import ledger

    found: dict[tuple[str, str], list[Batch]] = {}
    for batch in ledger.batches_of_night(connection, system, night):
        found.setdefault((batch.dataset, batch.node_code), []).append(batch)
    return found


def _planned(
    connection: PgConnection,
    provision: Provision,
    night: date,
    level: str,
    known: dict[tuple[str, str], list[Batch]],
    is_replacement: bool,
) -> PlannedRead:
    from yingshang.contracts import load_contracts
    from yingshang.ingest.windows import next_window
    from yingshang.warehouse import ledger

    batches = known.get((provision.dataset, provision.node_code), [])
    visible = [one for one in batches if one.is_visible]
    kind: Literal["window", "reload", "drop"] = "drop"
    low = high = None
    if provision.connector == "files":
        again = [one for one in batches if one.kind == "drop" and one.event in (None, "admitted")]
        drops = tuple(sorted({one.drop_period for one in again if one.drop_period}))
        replaces = tuple(one.batch_id for one in visible if one.kind == "drop")
    else:
        window = next_window(
            night,
            reached=ledger.last_admitted_window(connection, provision.system, provision.dataset, provision.node_code),
            recorded=[one for one in batches if one.kind == "window"],
            overlap=load_contracts()[provision.name].overlap,
        )
        kind, low, high, drops = window.kind, window.low, window.high, ()
        inside = [
            one
            for one in visible
            if one.kind in REPLACED_KINDS
            and (low is None or (one.cursor_low is not None and one.cursor_low >= low))
            and (one.cursor_high is None or high is None or one.cursor_high <= high)
        ]
        replaces = tuple(one.batch_id for one in inside) if is_replacement else ()
    return PlannedRead(
        night,
        provision.system,
        provision.dataset,
        provision.node_code,
        level,
        kind,
        low,
        high,
        drops,
        sum(one.raw_rows for one in visible),
        replaces,
    )
