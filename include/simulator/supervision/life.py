"""The life of issues: one event after another, and what comes of them.

Events of one issue fall on different days, so that their order is the same whether a node writes the time of day or
the date alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from simulator.fleet import all_nodes
from simulator.habits import DAY, Ints, amount_text, event_text, price_units, time_text
from simulator.supervision.issues import Issues, handlers, office_hours
from simulator.supervision.schema import ISSUE_EVENT, ISSUE_OUTCOME
from simulator.versions import booked

USUAL = ("assigned", "accepted", "handling", "submitted", "verified", "closed")
NEXT = {
    "assigned": "accepted",
    "accepted": "handling",
    "handling": "submitted",
    "extended": "submitted",
    "submitted": "verified",
    "verified": "closed",
    "reopened": "handling",
}
MONEY = ("debt_repaid", "execution_paid")


@dataclass(frozen=True)
class Events:
    """Events as arrays, in order of each issue: place among the issues, number within the issue, type, time."""

    issue: Ints
    number: Ints
    type_code: pl.Series
    at: Ints


@dataclass(frozen=True)
class Phase:
    """What happens to some issues between two days: each gets all ``types`` in order."""

    issue: Ints
    types: tuple[str, ...]
    first: Ints
    last: Ints


def events_of(rng: np.random.Generator, issues: Issues, phases: Sequence[Phase]) -> Events:
    """The events of all phases, the phases of one issue in order of time. An issue is assigned when it says so."""
    parts = []
    for order, phase in enumerate(phases):
        count, width = len(phase.issue), len(phase.types)
        if not count:
            continue
        # the first event on the first day if it is the assignment, every other at least a day after the one before
        start = 0 if phase.types[0] == "assigned" else 1
        room = np.maximum(phase.last - phase.first - (width - 1 + start), 0)
        share = rng.dirichlet(np.full(width + 1, 1.5), count)[:, :width]
        share[:, 0] = 0 if start == 0 else share[:, 0]
        gaps = np.floor(share * room[:, None]).astype(np.int64) + 1
        gaps[:, 0] += start - 1
        day = phase.first[:, None] + np.cumsum(gaps, axis=1)
        at = day * DAY + office_hours(rng, count * width).reshape(count, width)
        if start == 0:
            at[:, 0] = issues.assigned[phase.issue]
        parts.append(
            pl.DataFrame(
                {
                    "issue": np.repeat(phase.issue, width),
                    "order": np.full(count * width, order),
                    "place": np.tile(np.arange(width), count),
                    "type": pl.Series(list(phase.types) * count, dtype=pl.String),
                    "at": at.reshape(-1),
                }
            )
        )
    frame = pl.concat(parts).sort("issue", "order", "place").with_columns(
        number=pl.int_range(1, pl.len() + 1).over("issue")
    )  # fmt: skip
    return Events(frame["issue"].to_numpy(), frame["number"].to_numpy(), frame["type"], frame["at"].to_numpy())


def event_rows(
    rng: np.random.Generator, night: date, code: pl.Series, node: Ints, number: Ints, type_code: pl.Series, at: Ints
) -> pl.DataFrame:
    """Rows of ISSUE_EVENT; the cursor lies a few hours after the event."""
    count = len(node)
    frame = pl.DataFrame(
        {
            "EVENT_ID": code + "-" + pl.Series(number).cast(pl.String).str.zfill(3),
            "ISSUE_CODE": code,
            "NODE_CODE": np.array([entry.code for entry in all_nodes()])[node],
            "EVENT_TYPE": type_code,
            "EVENT_TIME": event_text(at, node),
            "HANDLER_NAME": handlers(rng, count),
            "DATA_TIMESTAMP": time_text(at + rng.integers(600, 6 * 3600, count)),
            "_node": node,
        },
        schema_overrides={"NODE_CODE": pl.String, "EVENT_TYPE": pl.String},
    )
    return booked(frame.with_columns(_type="EVENT_TYPE"), ISSUE_EVENT, night)


def outcome_rows(
    rng: np.random.Generator,
    night: date,
    code: pl.Series,
    node: Ints,
    number: Ints,
    type_code: pl.Series,
    cents: Ints,
    quantity: Ints,
    at: Ints,
) -> pl.DataFrame:
    """Rows of ISSUE_OUTCOME: an amount of money for debts and payments, a number for the others."""
    count = len(node)
    unit = price_units(rng, node)
    money = type_code.is_in(MONEY)
    frame = pl.DataFrame(
        {
            "OUTCOME_ID": code + "-R" + pl.Series(number).cast(pl.String).str.zfill(2),
            "ISSUE_CODE": code,
            "NODE_CODE": np.array([entry.code for entry in all_nodes()])[node],
            "OUTCOME_TYPE": type_code,
            "PRICE_UNIT": np.where(unit, "1", "0"),
            "RESPONSIBLE_KIND": rng.choice(("1", "2", "3"), count, p=(0.6, 0.25, 0.15)),
            "OUTCOME_TIME": event_text(at, node),
            "DATA_TIMESTAMP": time_text(at + rng.integers(600, 6 * 3600, count)),
            "_node": node,
            "_cents": cents,
            "_quantity": quantity,
        },
        schema_overrides={"NODE_CODE": pl.String, "PRICE_UNIT": pl.String, "RESPONSIBLE_KIND": pl.String},
    ).with_columns(_money=money)  # fmt: skip
    frame = frame.with_columns(
        _type="OUTCOME_TYPE",
        _milli=pl.when("_money").then(pl.col("_cents") * 10),
        QUANTITY=pl.when(~pl.col("_money")).then(pl.col("_quantity").cast(pl.String)),
    )
    return booked(priced(frame), ISSUE_OUTCOME, night)


def priced(frame: pl.DataFrame) -> pl.DataFrame:
    """Write the amounts of ``_milli`` as each row's unit asks for."""
    return frame.with_columns(AMOUNT=amount_text(pl.col("_milli"), pl.col("PRICE_UNIT") == "1"))


def parts_of(rng: np.random.Generator, total: int, count: int, spread: float = 1.2) -> Ints:
    """``total`` in ``count`` parts of very different size, each at least 1."""
    weight = np.exp(rng.normal(0, spread, count))
    parts: Ints = 1 + np.floor(weight / weight.sum() * (total - count)).astype(np.int64)
    parts[0] += total - parts.sum()
    return parts
