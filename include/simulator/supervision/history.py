"""The history of supervision up to 2024-08-13: three batches of issues, their events and outcomes."""

from datetime import date

import numpy as np
import polars as pl

from simulator.books import FIRST_NIGHT, Frames, Night, NightPlan, day_of
from simulator.habits import DAY, Ints
from simulator.source import Context
from simulator.supervision.broken import broken_rows
from simulator.supervision.issues import (
    ENVIRONMENTS,
    Issues,
    assigning_times,
    batch_rows,
    issue_rows,
    new_issues,
    nodes_in_charge,
    office_hours,
)
from simulator.supervision.life import USUAL, Events, Phase, event_rows, events_of, outcome_rows, parts_of
from simulator.supervision.schema import SUPERVISION
from simulator.supervision.strange import earlier_version
from simulator.supervision.totals import Totals, totals
from simulator.versions import touched

CUT_OFF_DAY = day_of(date(2023, 6, 26))
LAST = day_of(FIRST_NIGHT)
LATE_ISSUES = 3
BAD_ROWS = 24

CLOSED = "closed"
AGAIN = ("reopened", "handling", "submitted", "verified", CLOSED)
RESOLVED = ((0.88, USUAL), (0.10, (*USUAL[:3], "extended", *USUAL[3:])), (0.02, (*USUAL, *AGAIN)))
"""Shares of the courses of issues that are resolved at the cut-off."""
OPEN = (
    (0.10, USUAL[:2], USUAL[2:]),
    (0.43, USUAL[:3], USUAL[3:]),
    (0.20, (*USUAL[:3], "extended"), USUAL[3:]),
    (0.12, USUAL[:4], USUAL[4:]),
    (0.05, USUAL[:5], USUAL[5:]),
    # closed, but never verified: not resolved
    (0.04, (*USUAL[:4], CLOSED), AGAIN),
    (0.06, (*USUAL, "reopened"), AGAIN[1:]),
)
"""Of those that are not: what has happened by then, and what happens to most of them later."""
FINISHED_LATER = 0.85
REOPENED_LATER = 0.015


def history(context: Context) -> Night:
    """Everything before and at the first night, and the late issues that it has set going."""
    rng = context.rng("history")
    amounts = totals(context)
    issues = _all_issues(context, rng, amounts)
    is_resolved = _resolved(rng, issues, amounts)
    events = events_of(rng, issues, _phases(rng, issues, is_resolved))
    outcomes = _outcomes(rng, issues, is_resolved, events, amounts)
    delivered: Frames = {
        "batch": batch_rows(FIRST_NIGHT),
        "issue": issue_rows(rng, issues, FIRST_NIGHT),
        "issue_event": event_rows(
            rng, FIRST_NIGHT, issues.code.gather(events.issue), issues.node[events.issue], events.number,
            events.type_code, events.at,
        ),
        "issue_outcome": outcomes,
    }  # fmt: skip
    delivered["issue"], pending = _hold_back_issues(rng, delivered["issue"])
    for dataset in ("issue_event", "issue_outcome"):
        frame = _delete_some(rng, delivered[dataset], dataset)
        delivered[dataset] = pl.concat([frame, *_repeated(context, rng, frame, dataset)])
    for dataset, bad in broken_rows(context, rng, delivered, BAD_ROWS, first_serial=1).items():
        delivered[dataset] = pl.concat([delivered[dataset], bad])
    serial = 1 + int((issues.batch == 3).sum())
    return Night(delivered, {"issue": pending}, {}, NightPlan(), {"issue": serial, "bad": BAD_ROWS + 1})


def _all_issues(context: Context, rng: np.random.Generator, amounts: Totals) -> Issues:
    found = []
    for batch, count in enumerate((*amounts.assigned, amounts.later), start=1):
        node = nodes_in_charge(context, rng, count)
        times = assigning_times(rng, batch, count)
        if batch == 3:
            times = rng.integers(LAST - 160, LAST - 2, count) * DAY + office_hours(rng, count)
        found.append(new_issues(context, rng, batch, node, times, 1))
    return Issues(
        batch=np.concatenate([part.batch for part in found]),
        node=np.concatenate([part.node for part in found]),
        code=pl.concat([part.code for part in found]),
        environment=np.concatenate([part.environment for part in found]),
        assigned=np.concatenate([part.assigned for part in found]),
    )


def _resolved(rng: np.random.Generator, issues: Issues, amounts: Totals) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which issues are resolved at the cut-off: exactly so many of each batch."""
    found = np.zeros(len(issues), dtype=np.bool_)
    for batch, count in enumerate(amounts.resolved, start=1):
        found[rng.permutation(np.flatnonzero(issues.batch == batch))[:count]] = True
    return found


def _phases(
    rng: np.random.Generator, issues: Issues, is_resolved: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> list[Phase]:
    """The courses of all issues. What a figure counts happens up to the cut-off, the rest from the day after."""
    phases = []
    assigned = issues.assigned // DAY

    def until(issue: Ints, latest: int) -> Ints:
        return np.maximum(assigned[issue] + 20, latest - rng.integers(0, 120, len(issue)))

    def later(issue: Ints, types: tuple[str, ...]) -> Phase:
        start = CUT_OFF_DAY + rng.integers(0, 60, len(issue))
        return Phase(issue, types, start, np.minimum(start + rng.integers(20, 340, len(issue)), LAST - 1))

    done = rng.permutation(np.flatnonzero(is_resolved))
    for part, (_, types) in zip(_split(done, [share for share, _ in RESOLVED]), RESOLVED, strict=True):
        phases.append(Phase(part, types, assigned[part], until(part, CUT_OFF_DAY)))
    reopened = rng.permutation(done)[: max(2, int(len(done) * REOPENED_LATER))]
    half = len(reopened) // 2
    phases += [later(reopened[:half], AGAIN), later(reopened[half:], AGAIN[:2])]

    undone = rng.permutation(np.flatnonzero(~is_resolved & (issues.batch < 3)))
    for part, (_, before, after) in zip(_split(undone, [entry[0] for entry in OPEN]), OPEN, strict=True):
        phases.append(Phase(part, before, assigned[part], until(part, CUT_OFF_DAY)))
        phases.append(later(part[: int(np.ceil(len(part) * FINISHED_LATER))], after))

    recent = rng.permutation(np.flatnonzero(issues.batch == 3))
    for reached, part in enumerate(np.array_split(recent, len(USUAL)), start=1):
        room = np.minimum(LAST - 1, assigned[part] + reached * 20)
        able = room - assigned[part] >= reached
        for chosen, types in ((part[able], USUAL[:reached]), (part[~able], USUAL[:1])):
            last = np.maximum(np.minimum(LAST - 1, assigned[chosen] + reached * 20), assigned[chosen])
            phases.append(Phase(chosen, types, assigned[chosen], last))
    return phases


def _split(issues: Ints, shares: list[float]) -> list[Ints]:
    return np.split(issues, (np.cumsum(shares)[:-1] * len(issues)).astype(np.int64))


def _outcomes(
    rng: np.random.Generator, issues: Issues, is_resolved: np.ndarray[tuple[int], np.dtype[np.bool_]],
    events: Events, amounts: Totals,
) -> pl.DataFrame:  # fmt: skip
    """What came of resolved issues up to the cut-off, in exact sums, and a little more after it."""
    wanted = (
        ("debt_repaid", ("07", "01"), amounts.debts_cents, 0.16),
        ("commitment_fulfilled", ("01", "08"), amounts.commitments, 0.06),
        ("execution_corrected", ("02", "03"), amounts.executions, 0.04),
        ("execution_paid", ("02",), amounts.payments_cents, 0.03),
        ("approval_delegated", ("04",), amounts.approvals, 0.004),
    )
    closings = pl.DataFrame({"i": events.issue, "t": events.type_code, "at": events.at}).filter(pl.col("t") == CLOSED)
    closed_at = np.zeros(len(issues), dtype=np.int64)
    first = closings.sort("at").unique("i", keep="first")
    closed_at[first["i"].to_numpy()] = first["at"].to_numpy()
    done = np.flatnonzero(is_resolved)
    parts = []
    for type_code, environments, total, share in wanted:
        able = done[np.isin(np.array(ENVIRONMENTS)[issues.environment[done]], environments)]
        count = int(min(max(3, share * len(done)), len(able), total))
        chosen = rng.permutation(able)[:count]
        value = parts_of(rng, total, count, 1.2 if type_code in ("debt_repaid", "execution_paid") else 0.3)
        lived = closed_at[chosen] - issues.assigned[chosen]
        at = issues.assigned[chosen] + (lived * rng.uniform(0.3, 0.98, count)).astype(np.int64)
        parts.append((chosen, type_code, value, at // DAY * DAY + office_hours(rng, count)))
        extra = rng.permutation(able)[: max(2, count // 12)]
        days = rng.integers(CUT_OFF_DAY + 1, LAST, len(extra))
        much = rng.integers(1_000_000, 200_000_000, len(extra)) if type_code in ("debt_repaid", "execution_paid") else 1
        value = np.broadcast_to(np.asarray(much), len(extra))
        parts.append((extra, type_code, value, days * DAY + office_hours(rng, len(extra))))
    frame = pl.concat(
        [pl.DataFrame({"issue": i, "type": [t] * len(i), "value": v, "at": at}) for i, t, v, at in parts]
    ).sort("issue", "at").with_columns(number=pl.int_range(1, pl.len() + 1).over("issue"))  # fmt: skip
    issue, value = frame["issue"].to_numpy(), frame["value"].to_numpy()
    return outcome_rows(
        rng, FIRST_NIGHT, issues.code.gather(issue), issues.node[issue], frame["number"].to_numpy(), frame["type"],
        value, value, frame["at"].to_numpy(),
    )  # fmt: skip


def _hold_back_issues(rng: np.random.Generator, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A few issues of the third batch reach the province's books in the nights to come, after their events."""
    able = (frame["BATCH_CODE"] == "PC03").arg_true().to_numpy()
    chosen = rng.permutation(able)[:LATE_ISSUES]
    late = frame[chosen]
    parts = []
    for place in range(late.height):
        night = date.fromordinal(FIRST_NIGHT.toordinal() + 1 + place)
        row = touched(rng, SUPERVISION.table("issue"), late[place : place + 1], night, "late_parent")
        parts.append(row.with_columns(_due=pl.lit(LAST + 1 + place, dtype=pl.Int32)))
    kept = np.ones(frame.height, dtype=np.bool_)
    kept[chosen] = False
    return frame.filter(pl.Series(kept)), pl.concat(parts)


def _delete_some(rng: np.random.Generator, frame: pl.DataFrame, dataset: str) -> pl.DataFrame:
    """Some records of the time after the cut-off have been deleted since."""
    table = SUPERVISION.table(dataset)
    able = frame.with_row_index("row").filter(pl.col(table.event).str.slice(0, 8) >= "20230701")["row"].to_numpy()
    chosen = rng.permutation(able)[: max(2, int(len(able) * 0.01))]
    gone = frame[chosen]
    mask = np.ones(frame.height, dtype=np.bool_)
    mask[chosen] = False
    buried = touched(rng, table, gone, FIRST_NIGHT, "tombstone", deleted=True)
    return pl.concat([frame.filter(pl.Series(mask)), buried])


def _repeated(context: Context, rng: np.random.Generator, frame: pl.DataFrame, dataset: str) -> list[pl.DataFrame]:
    """File counties send some rows twice, and an older version of some after the present one."""
    files = pl.col("_node").is_in(context.fleet.file_indexes)
    able = frame.with_row_index("row").filter(files)["row"].to_numpy()
    count = min(max(2, int(len(able) * 0.002)), len(able) // 2)
    chosen = rng.permutation(able)[: 2 * count]
    copies = frame[chosen[:count]].with_columns(_kind=pl.lit("copy"))
    older = earlier_version(frame[chosen[count:]], dataset=dataset, seconds=600)
    return [copies, older.with_columns(_kind=pl.lit("older"))]
