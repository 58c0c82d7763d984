"""What changes in one night of supervision. Nothing of it moves a figure at its cut-off, unless it was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import numpy as np
import polars as pl

from simulator.books import Books, Frames, Night, ProvinceError, day_of, no_rows, number_of
from simulator.drops import ASKED, in_drops, repeated_in_drops, revised_tonight
from simulator.fleet import Fleet, all_nodes
from simulator.habits import DAY, Ints
from simulator.source import Context, Request
from simulator.supervision.broken import broken_rows
from simulator.supervision.figures import in_order
from simulator.supervision.issues import Issues, issue_rows, new_issues, nodes_in_charge, office_hours
from simulator.supervision.life import MONEY, NEXT, event_rows, outcome_rows
from simulator.supervision.schema import BATCH, ISSUE, ISSUE_EVENT, SUPERVISION
from simulator.supervision.strange import corrected, earlier_version
from simulator.tables import Table
from simulator.versions import today, touched, with_late_cursors

SHARES = {"progress": 0.003, "reopened": 0.0002, "correction": 0.0008, "resent": 0.0004, "tombstone": 0.0001}
AT_LEAST = {"progress": 24, "reopened": 2, "correction": 6, "resent": 3, "tombstone": 1}
NEW_ISSUES = 6
NEW_OUTCOMES = 8
EXTENDED = 0.15
BAD_ROWS = 8
LATE_CURSORS = 0.05
CORRECTABLE = ("ENVIRONMENT_CODE", "SOURCE_CODE", "TITLE", "LEAD_DEPT", "ASSIGN_TIME", "DUE_TIME")
NOBODYS_NODE = "219999"
NO_ENVIRONMENT = "99"


@dataclass(frozen=True)
class _Present:
    """What the books say before the night.

    ``issues``, ``events``, ``outcomes``: last versions (books.latest with the columns used here); ``last``: per issue
    its ISSUE_CODE, _node, last live EVENT_TYPE (``state``) and the next free event number.
    """

    issues: pl.DataFrame
    events: pl.DataFrame
    outcomes: pl.DataFrame
    last: pl.DataFrame


def next_night(context: Context, books: Books, night: date) -> Night:
    """All that happens in ``night``, given the books up to the night before."""
    rng = context.rng("night", night.isoformat())
    present = _present(books)
    revised = revised_tonight(books, context.fleet, rng, night)
    before = books.plan(number_of(night - timedelta(days=1)))
    # what these nodes say now would meet what they owe, or what they say again
    busy = [*before.late_nodes, *(node for node, _, _ in revised)]
    counters = books.meta.counters[SUPERVISION.name]
    asked = [_asked_event(context, rng, books, night, present.last, request) for request in context.requests]
    fresh, pending, serial = _new_issues(context, rng, night, counters["issue"], busy)
    progress = _progress(context, rng, night, present, busy, context.requests)
    delivered: Frames = {
        "batch": no_rows(BATCH),
        "issue": pl.concat([_due(books, "issue", night), fresh["issue"], *_asked_issues(rng, books, context, night)]),
        "issue_event": pl.concat([fresh["issue_event"], progress, *asked]),
        "issue_outcome": _new_outcomes(rng, night, present, progress, fresh["issue"], busy),
    }
    for table in SUPERVISION.tables:
        new = with_late_cursors(books, rng, context.fleet, table, delivered[table.dataset])
        changed = _changes(context, books, rng, table, night, busy)
        delivered[table.dataset] = pl.concat([new, *changed])
    models = {dataset: frame.filter(pl.col("_kind") != "tombstone") for dataset, frame in delivered.items()}
    for dataset, bad in broken_rows(context, rng, models, BAD_ROWS, counters["bad"]).items():
        delivered[dataset] = pl.concat([delivered[dataset], bad])
    for dataset in ("issue_event", "issue_outcome"):
        delivered[dataset] = repeated_in_drops(
            context.fleet, delivered[dataset], partial(earlier_version, dataset=dataset, seconds=600)
        )
    spared = _nodes_asked(context.requests)
    sent = in_drops(books, context.fleet, rng, night, delivered, revised, corrected, spared)
    after = {"issue": serial, "bad": counters["bad"] + BAD_ROWS + len(SUPERVISION.tables)}
    return Night(sent.delivered, {"issue": pending}, sent.held, sent.plan, after)


def check(books: Books, request: Request) -> None:
    """Whether a request can be met. Raises ProvinceError when it can't."""
    if request.key not in books.latest("issue")["ISSUE_CODE"]:
        raise ProvinceError(f"there is no issue {request.key}")
    match request.what:
        case "reopen_issue":
            _check_reopening(books, request)
        case "correct_issue":
            wrong = sorted(set(request.changes or {}) - set(CORRECTABLE))
            if wrong or not request.changes:
                raise ProvinceError(f"of an issue {', '.join(CORRECTABLE)} can be corrected, not {', '.join(wrong)}")
        case _:
            raise ProvinceError(f"supervision knows no request {request.what!r}")


def _check_reopening(books: Books, request: Request) -> None:
    at = request.at or ""
    if len(at) != 14 or not at.isdigit():
        raise ProvinceError(f"{at!r} is not a time yyyyMMddHHmmss")
    events = books.latest("issue_event", also=["ISSUE_CODE", "EVENT_TYPE", "EVENT_TIME"])
    until = in_order(events.filter((pl.col("ISSUE_CODE") == request.key) & ~pl.col("_deleted"))).filter(
        pl.col("EVENT_TIME").str.pad_end(14, "0") <= at
    )
    if until.is_empty() or until["EVENT_TYPE"][-1] != "closed":
        raise ProvinceError(f"issue {request.key} is not closed at {at}: only a closed one can be reopened")


def _present(books: Books) -> _Present:
    issues = books.latest("issue", also=["NODE_CODE", "ASSIGN_TIME"])
    events = books.latest("issue_event", also=["ISSUE_CODE", "EVENT_TYPE", "EVENT_TIME"])
    outcomes = books.latest("issue_outcome", also=["ISSUE_CODE"])
    number = pl.col("EVENT_ID").str.slice(17).cast(pl.Int64)
    free = events.group_by("ISSUE_CODE").agg(number=number.max() + 1)
    state = in_order(events.filter(~pl.col("_deleted"))).group_by("ISSUE_CODE", maintain_order=True).agg(
        pl.col("_node").last(), state=pl.col("EVENT_TYPE").last(), since=pl.col("EVENT_TIME").last().str.slice(0, 8)
    )  # fmt: skip
    last = state.join(free, on="ISSUE_CODE", maintain_order="left").filter(pl.col("number") < 1000)
    return _Present(issues, events, outcomes, last)


def _progress(
    context: Context,
    rng: np.random.Generator,
    night: date,
    present: _Present,
    busy: Sequence[int],
    requests: Sequence[Request],
) -> pl.DataFrame:
    """The next event of some open issues, and some closed ones reopened; one of each connector kind at least."""
    keys = [request.key for request in requests]
    today_text = night.strftime("%Y%m%d")
    able = present.last.filter(
        ~pl.col("_node").is_in(list(busy)) & ~pl.col("ISSUE_CODE").is_in(keys) & (pl.col("since") < today_text)
    )
    is_open = pl.col("state") != "closed"
    going = _spread(context.fleet, rng, able.filter(is_open), _count("progress", present.events.height))
    again = _spread(context.fleet, rng, able.filter(~is_open), _count("reopened", present.events.height))
    longer = pl.lit(pl.Series(rng.random(going.height) < EXTENDED)) & (pl.col("state") == "handling")
    going = going.with_columns(
        type=pl.when(longer).then(pl.lit("extended")).otherwise(pl.col("state").replace_strict(NEXT))
    )
    chosen = pl.concat([going, again.with_columns(type=pl.lit("reopened"))])
    at = day_of(night) * DAY + office_hours(rng, chosen.height)
    return event_rows(
        rng, night, chosen["ISSUE_CODE"], _ints(chosen["_node"]), _ints(chosen["number"]), chosen["type"], at
    )


def _new_issues(
    context: Context, rng: np.random.Generator, night: date, serial: int, busy: Sequence[int]
) -> tuple[Frames, pl.DataFrame, int]:
    """Issues of the third batch, assigned today, with their first events.

    One reaches the province's books a night after its event; one is of an unknown division and environment; one is
    closed before it is assigned.
    """
    count = NEW_ISSUES
    node = nodes_in_charge(context, rng, count + 40)
    node = rng.permutation(node[~np.isin(node, busy)])[:count]
    issues = new_issues(context, rng, 3, node, day_of(night) * DAY + office_hours(rng, len(node)), serial)
    rows = issue_rows(rng, issues, night)
    late = touched(rng, ISSUE, rows[:1], night + timedelta(days=1), "late_parent").with_columns(
        _due=pl.lit(day_of(night) + 1, dtype=pl.Int32)
    )
    stray = rows[1:2].with_columns(
        ISSUE_CODE=pl.concat_str(pl.lit(f"WT03{NOBODYS_NODE}"), pl.col("ISSUE_CODE").str.slice(10)),
        NODE_CODE=pl.lit(NOBODYS_NODE),
        ENVIRONMENT_CODE=pl.lit(NO_ENVIRONMENT),
        _type=pl.lit(NO_ENVIRONMENT),
    )
    known = np.array([place for place in range(len(issues)) if place != 1])
    first = _events(rng, night, issues, known, "assigned", issues.assigned[known])
    # a clerk's slip: the closing carries a date long before the assignment
    slip = known[-1:]
    early = _events(rng, night, issues, slip, "closed", issues.assigned[slip] - 40 * DAY, number=2).with_columns(
        DATA_TIMESTAMP=first["DATA_TIMESTAMP"][-1:]
    )
    return (
        {"issue": pl.concat([rows[2:], stray]), "issue_event": pl.concat([first, early])},
        late,
        serial + len(issues),
    )


def _events(
    rng: np.random.Generator, night: date, issues: Issues, places: Ints, type_code: str, at: Ints, number: int = 1
) -> pl.DataFrame:
    types = pl.Series([type_code] * len(places), dtype=pl.String)
    return event_rows(
        rng, night, issues.code.gather(places), issues.node[places], np.full(len(places), number), types, at
    )


def _new_outcomes(
    rng: np.random.Generator,
    night: date,
    present: _Present,
    progress: pl.DataFrame,
    fresh_issues: pl.DataFrame,
    busy: Sequence[int],
) -> pl.DataFrame:
    """Outcomes of issues that move tonight, and two of issues that nobody knows."""
    some = progress.filter(pl.col("EVENT_TYPE").is_in(["submitted", "verified", "closed", "handling", "extended"]))
    chosen = some[rng.permutation(some.height)][:NEW_OUTCOMES].select("ISSUE_CODE", "_node")
    number = pl.col("OUTCOME_ID").str.slice(18).cast(pl.Int64)
    free = present.outcomes.group_by("ISSUE_CODE").agg(number=number.max() + 1)
    chosen = chosen.join(free, on="ISSUE_CODE", how="left", maintain_order="left").with_columns(
        pl.col("number").fill_null(1)
    )
    unknown = progress[:2].select(
        ISSUE_CODE=pl.col("ISSUE_CODE").str.slice(0, 10) + f"9{day_of(night) % 100_000:05d}",
        _node="_node",
        number=pl.lit(1, dtype=pl.Int64),
    ).unique("ISSUE_CODE", maintain_order=True)  # fmt: skip
    chosen = pl.concat([chosen, unknown]).filter(~pl.col("_node").is_in(list(busy)) & (pl.col("number") < 100))
    count = chosen.height
    types = pl.Series(
        rng.choice(
            [*MONEY, "commitment_fulfilled", "execution_corrected", "approval_delegated"],
            count,
            p=[0.5, 0.15, 0.15, 0.1, 0.1],
        ),
        dtype=pl.String,
    )
    cents = rng.integers(1_000_000, 300_000_000, count)
    at = day_of(night) * DAY + office_hours(rng, count)
    return outcome_rows(
        rng, night, chosen["ISSUE_CODE"], _ints(chosen["_node"]), _ints(chosen["number"]), types, cents,
        rng.integers(1, 4, count), at,
    )  # fmt: skip


def _changes(
    context: Context, books: Books, rng: np.random.Generator, table: Table, night: date, busy: Sequence[int]
) -> list[pl.DataFrame]:
    """Corrections, re-sent records, deletions and restored ones of records that no figure needs, in this order."""
    if table.dataset == "batch":
        last = books.latest("batch").sort("BATCH_CODE")[-1:]
        kind = "correction" if day_of(night) % 2 else "resent"
        rows = touched(rng, table, books.rows("batch", last), night, kind)
        return [corrected(rng, table, rows) if kind == "correction" else rows]
    asked = [request.key for request in context.requests]
    latest = books.latest(table.dataset, also=["ISSUE_CODE", table.event]).filter(
        ~pl.col("_node").is_in(list(busy)) & ~pl.col("ISSUE_CODE").is_in(asked) & (pl.col("_kind") != ASKED)
    )
    live = _spread(context.fleet, rng, latest.filter(~pl.col("_deleted")), latest.height)
    sizes = {kind: min(_count(kind, live.height), live.height // 4) for kind in ("correction", "resent", "tombstone")}
    cut = np.cumsum([0, sizes["correction"], sizes["resent"]])
    later = live[int(cut[2]) :].filter(pl.col(table.event).str.slice(0, 8) > "20230701")
    if table.dataset == "issue" and day_of(night) % 3:
        later = later[:0]
    dead = latest.filter(pl.col("_deleted") & (pl.col(table.event).str.slice(0, 8) > "20230701"))

    def whole(picks: pl.DataFrame, kind: str, *, deleted: bool | None = None) -> pl.DataFrame:
        if picks.is_empty():
            return no_rows(table)
        return touched(rng, table, books.rows(table.dataset, picks), night, kind, deleted=deleted)

    return [
        corrected(rng, table, whole(live[: int(cut[1])], "correction")),
        whole(live[int(cut[1]) : int(cut[2])], "resent"),
        whole(later[: sizes["tombstone"]], "tombstone", deleted=True),
        whole(dead[rng.permutation(dead.height)][:1], "revived", deleted=False),
    ]


def _asked_event(
    context: Context, rng: np.random.Generator, books: Books, night: date, last: pl.DataFrame, request: Request
) -> pl.DataFrame:
    """The reopening that somebody asked for, with its time written in full."""
    if request.what != "reopen_issue":
        return no_rows(ISSUE_EVENT)
    row = last.filter(pl.col("ISSUE_CODE") == request.key)
    node = _ints(row["_node"])
    types = pl.Series(["reopened"])
    found = event_rows(rng, night, row["ISSUE_CODE"], node, _ints(row["number"]), types, today(rng, night, 1))
    return found.with_columns(EVENT_TIME=pl.lit(request.at), _kind=pl.lit(ASKED))


def _asked_issues(rng: np.random.Generator, books: Books, context: Context, night: date) -> list[pl.DataFrame]:
    """Issues with the corrections that somebody asked for."""
    changes: dict[str, dict[str, str]] = {}
    for request in context.requests:
        if request.what == "correct_issue":
            changes.setdefault(request.key, {}).update(request.changes or {})
    latest = books.latest("issue")
    found = []
    for code, new in changes.items():
        row = books.rows("issue", latest.filter(pl.col("ISSUE_CODE") == code))
        found.append(
            touched(rng, ISSUE, row, night, ASKED).with_columns(
                **{column: pl.lit(value) for column, value in new.items()}
            ).with_columns(_type="ENVIRONMENT_CODE")
        )  # fmt: skip
    return found


def _nodes_asked(requests: Sequence[Request]) -> list[int]:
    """The nodes whose events were asked for: their drops come in time."""
    codes = {request.key[4:10] for request in requests}
    return [node.index for node in all_nodes() if node.code in codes]


def _due(books: Books, dataset: str, night: date) -> pl.DataFrame:
    """Rows that earlier nights have decided for this one."""
    number = pl.lit(number_of(night), dtype=pl.Int32)
    return books.pending(dataset, day_of(night)).drop("_due").with_columns(_night=number, _period=number)


def _spread(fleet: Fleet, rng: np.random.Generator, frame: pl.DataFrame, count: int) -> pl.DataFrame:
    """``count`` rows at random, the connector kinds taking turns at first, so that each meets each kind of change."""
    connector = {node.index: node.connector for node in fleet.nodes}
    shuffled = frame[rng.permutation(frame.height)].with_columns(
        _turn=pl.int_range(pl.len()).over(pl.col("_node").replace_strict(connector, return_dtype=pl.String)) // 4
    )
    return shuffled.sort("_turn", maintain_order=True)[:count].drop("_turn")


def _count(kind: str, height: int) -> int:
    return max(AT_LEAST[kind], int(height * SHARES[kind]))


def _ints(series: pl.Series) -> Ints:
    return series.to_numpy().astype(np.int64)
