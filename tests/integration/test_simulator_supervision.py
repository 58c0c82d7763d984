"""supervision as readers meet it: its truth and its figures are counted again from databases, APIs and drops.

The recount knows the contract and the rules of the figures, and nothing of the simulator's books.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

import polars as pl
import pytest
from tests.support.sources import Row, Shown, everything

from simulator import Province, ProvinceError

EVERYWHERE = ("province", "city", "county")
TABLES = {
    "batch": ("BATCH", ("province",)),
    "issue": ("ISSUE", ("province",)),
    "issue_event": ("ISSUE_EVENT", EVERYWHERE),
    "issue_outcome": ("ISSUE_OUTCOME", EVERYWHERE),
}
KEYS = {
    "batch": ("BATCH_CODE", r"PC\d\d", "", "ISSUED_TIME"),
    "issue": ("ISSUE_CODE", r"WT\d{14}", "ENVIRONMENT_CODE", "ASSIGN_TIME"),
    "issue_event": ("EVENT_ID", r"WT\d{14}-\d{3}", "EVENT_TYPE", "EVENT_TIME"),
    "issue_outcome": ("OUTCOME_ID", r"WT\d{14}-R\d\d", "OUTCOME_TYPE", "OUTCOME_TIME"),
}
CLASSES = {
    "issue_event": {
        "assigned", "accepted", "handling", "extended", "submitted", "verified", "closed", "reopened",
    },
    "issue_outcome": {
        "debt_repaid", "commitment_fulfilled", "execution_corrected", "execution_paid", "approval_delegated",
    },
}  # fmt: skip
NIGHTS = (date(2024, 8, 13), date(2024, 8, 14), date(2024, 8, 15), date(2024, 8, 16))
ASKED = date(2024, 8, 16)
CUT_OFF = "20230626235959"


@dataclass(frozen=True)
class Sight:
    """What the simulator says after a night, and what its sources show."""

    truth: pl.DataFrame
    reads: pl.DataFrame
    bad: pl.DataFrame
    figures: dict[str, Decimal]
    rows: Shown


@pytest.fixture(scope="module")
def province(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    with Province(tmp_path_factory.mktemp("province"), profile="tiny", seed=3) as running:
        yield running


@pytest.fixture(scope="module")
def sights(province: Province) -> dict[date, Sight]:
    """Four nights; before the last one, an issue is to be reopened and another corrected."""
    found: dict[date, Sight] = {}
    for night in NIGHTS:
        if night == ASKED:
            codes = sorted(resolved(found[night - timedelta(days=1)].rows, night))
            assert province.reopen_issue(codes[0], at="20230626150000") == night
            assert province.correct_issue(codes[1], ENVIRONMENT_CODE="08", TITLE="改过的标题") == night
        if night != province.night:
            assert province.advance() == night
        told = [frame.filter(pl.col("system") == "supervision") for frame in
                (province.truth(), province.reads(), province.bad_rows())]  # fmt: skip
        figures = dict(province.figures().iter_rows())
        found[night] = Sight(*told, figures, everything(province, "supervision", TABLES))
    return found


@pytest.mark.parametrize("night", NIGHTS, ids=str)
def test_the_truth_of_supervision_equals_a_recount_from_the_sources(sights: dict[date, Sight], night: date) -> None:
    counted: dict[tuple[str, str, str], list[object]] = {}
    for (dataset, node), rows in latest(sights[night].rows, night).items():
        for row in rows:
            entry = counted.setdefault((dataset, node, class_of(dataset, row)), [0, 0, Decimal("0.00")])
            is_dead = row["IS_DELETE"] in ("1", "T")
            entry[1 if is_dead else 0] += 1
            if dataset == "issue_outcome" and not is_dead:
                entry[2] += yuan(row)
    expected = {
        (row["dataset"], row["node_code"], row["type_code"] or ""): [
            row["live_keys"], row["deleted_keys"], row["amount_yuan"],
        ]
        for row in sights[night].truth.to_dicts()
    }  # fmt: skip
    assert counted == expected
    assert sum(entry[0] for entry in expected.values()) > 2000


@pytest.mark.parametrize("night", NIGHTS, ids=str)
def test_a_full_read_of_supervision_holds_as_many_rows_as_the_books_say(sights: dict[date, Sight], night: date) -> None:
    shown = sights[night].rows
    told = {(row["dataset"], row["node_code"]): row for row in sights[night].reads.to_dicts()}
    assert told.keys() == shown.keys()
    for key, row in told.items():
        future = sum((r["DATA_TIMESTAMP"] or "") > "2090" for r in shown[key])
        assert (len(shown[key]) - future, future) == (row["full_rows"], row["future_rows"]), row


def test_bad_rows_of_supervision_are_as_many_as_the_books_say(sights: dict[date, Sight]) -> None:
    seen = {
        key: broken for key, rows in sights[NIGHTS[0]].rows.items()
        if (broken := sum(fault(*key, row, NIGHTS[0]) for row in rows))
    }  # fmt: skip
    told: dict[tuple[str, str], int] = {}
    for row in sights[NIGHTS[0]].bad.to_dicts():
        told[row["dataset"], row["node_code"]] = told.get((row["dataset"], row["node_code"]), 0) + row["rows"]
    assert seen == told
    every = pl.concat([sight.bad for sight in sights.values()])["reason"].unique()
    assert {"negative_amount", "unknown_code", "missing_key", "foreign_region", "impossible_date"} <= set(every)


@pytest.mark.parametrize("night", NIGHTS, ids=str)
def test_the_figures_equal_a_recount_from_the_sources(sights: dict[date, Sight], night: date) -> None:
    sight = sights[night]
    issues = [row for row in live(sight.rows, "issue", night) if padded(row["ASSIGN_TIME"]) <= CUT_OFF]
    done = resolved(sight.rows, night)
    expected: dict[str, Decimal] = {"issues_assigned_total": Decimal(len(issues))}
    for number in ("1", "2"):
        codes = {str(row["ISSUE_CODE"]) for row in issues if row["BATCH_CODE"] == f"PC0{number}"}
        expected[f"issues_assigned_batch_{number}"] = Decimal(len(codes))
        expected[f"issues_resolved_batch_{number}"] = Decimal(len(codes & done))
        rate = Decimal(100 * len(codes & done)) / len(codes)
        expected[f"completion_rate_batch_{number}"] = rate.quantize(Decimal("1e-10"), ROUND_HALF_UP)
    outcomes = [row for row in live(sight.rows, "issue_outcome", night) if padded(row["OUTCOME_TIME"]) <= CUT_OFF]
    for figure, kind in (("debts_repaid", "debt_repaid"), ("execution_payments", "execution_paid")):
        expected[figure] = sum((yuan(row) for row in outcomes if row["OUTCOME_TYPE"] == kind), Decimal(0))
    for figure, kind in (
        ("commitments_fulfilled", "commitment_fulfilled"),
        ("executions_corrected", "execution_corrected"),
        ("approvals_delegated", "approval_delegated"),
    ):
        expected[figure] = Decimal(sum(int(row["QUANTITY"] or 0) for row in outcomes if row["OUTCOME_TYPE"] == kind))
    assert {figure: sight.figures[figure] for figure in expected} == expected


def test_nights_move_no_figure_unless_somebody_asks(sights: dict[date, Sight]) -> None:
    assert sights[NIGHTS[1]].figures == sights[NIGHTS[0]].figures
    assert sights[NIGHTS[2]].figures == sights[NIGHTS[0]].figures


def test_one_issue_reopened_moves_the_resolved_count_by_one(sights: dict[date, Sight]) -> None:
    before, after = sights[ASKED - timedelta(days=1)], sights[ASKED]
    gone = resolved(before.rows, ASKED) - resolved(after.rows, ASKED)
    assert len(gone) == 1
    batch = gone.pop()[3]
    figure = f"issues_resolved_batch_{batch}"
    assert after.figures[figure] == before.figures[figure] - 1
    moved = {name for name, value in after.figures.items() if value != before.figures[name]}
    assert moved == {figure, f"completion_rate_batch_{batch}"}


def test_an_issue_is_corrected_when_asked(sights: dict[date, Sight]) -> None:
    changed = [row for row in live(sights[ASKED].rows, "issue", ASKED) if row["TITLE"] == "改过的标题"]
    assert [row["ENVIRONMENT_CODE"] for row in changed] == ["08"]


def test_what_nights_must_hold_is_there(sights: dict[date, Sight]) -> None:
    """Outcomes of unknown issues, closings before the assignment, late issues, unknown divisions, re-sent drops."""
    rows, night = sights[NIGHTS[-1]].rows, NIGHTS[-1]
    issues = {str(row["ISSUE_CODE"]): row for row in live(rows, "issue", night)}
    events = live(rows, "issue_event", night)
    assert any(row["ISSUE_CODE"] not in issues for row in live(rows, "issue_outcome", night))
    assert any(row["NODE_CODE"] == "219999" and row["ENVIRONMENT_CODE"] == "99" for row in issues.values())
    closings = [row for row in events if row["EVENT_TYPE"] == "closed" and row["ISSUE_CODE"] in issues]
    assert any(padded(row["EVENT_TIME"]) < padded(issues[str(row["ISSUE_CODE"])]["ASSIGN_TIME"]) for row in closings)
    first = live(sights[NIGHTS[1]].rows, "issue_event", NIGHTS[1])
    known = {row["ISSUE_CODE"] for row in live(sights[NIGHTS[1]].rows, "issue", NIGHTS[1])}
    assert any(row["ISSUE_CODE"] not in known and row["ISSUE_CODE"] in issues for row in first)
    assert sum(row["EVENT_TYPE"] == "reopened" for row in events) > 4
    reads = pl.concat([sight.reads for sight in sights.values()])
    assert reads["resent"].sum() > 10
    assert reads["copies"].sum() > 2
    assert reads["is_late"].sum() >= 1


@pytest.mark.parametrize(
    ("code", "at", "words"),
    [
        ("WT0121010000000X", "20230601000000", "there is no issue"),
        (None, "20200101000000", "is not closed"),
        (None, "soon", "is not a time"),
    ],
)
@pytest.mark.usefixtures("sights")
def test_what_cannot_be_reopened_is_refused(province: Province, code: str | None, at: str, words: str) -> None:
    known = province.books["supervision"].latest("issue")["ISSUE_CODE"][0]
    with pytest.raises(ProvinceError, match=words):
        province.reopen_issue(code or known, at=at)
    with pytest.raises(ProvinceError, match="can be corrected"):
        province.correct_issue(known, NODE_CODE="210100")


# --------------------------------------------------------------------------------------------------------- counting


def resolved(rows: Shown, night: date) -> set[str]:
    """Issues whose last event up to the cut-off is closed, after a verified one."""
    lives: dict[str, list[tuple[str, str, str]]] = {}
    for row in live(rows, "issue_event", night):
        if padded(row["EVENT_TIME"]) <= CUT_OFF:
            event = (padded(row["EVENT_TIME"]), str(row["EVENT_ID"]), str(row["EVENT_TYPE"]))
            lives.setdefault(str(row["ISSUE_CODE"]), []).append(event)
    known = {row["ISSUE_CODE"] for row in live(rows, "issue", night)}
    return {
        code for code, events in lives.items()
        if code in known and max(events)[2] == "closed" and any(event[2] == "verified" for event in events)
    }  # fmt: skip


def live(rows: Shown, dataset: str, night: date) -> list[Row]:
    found = latest({key: present for key, present in rows.items() if key[0] == dataset}, night)
    return [row for present in found.values() for row in present if row["IS_DELETE"] in ("0", "F")]


def latest(rows: Shown, night: date) -> Shown:
    """The last good version of each record."""
    found: Shown = {}
    for (dataset, node), present in rows.items():
        last: dict[str, Row] = {}
        for row in present:
            name = str(row[KEYS[dataset][0]])
            if not fault(dataset, node, row, night) and (
                name not in last or str(row["DATA_TIMESTAMP"]) >= str(last[name]["DATA_TIMESTAMP"])
            ):
                last[name] = row
        found[dataset, node] = list(last.values())
    return found


def fault(dataset: str, node: str, row: Row, night: date) -> bool:
    """Whether a row breaks the contract."""
    key, pattern, kind, event = KEYS[dataset]
    if not re.fullmatch(pattern, row[key] or "") or not row["DATA_TIMESTAMP"]:
        return True
    if str(row["DATA_TIMESTAMP"]) > f"{night + timedelta(days=1):%Y%m%d}03":
        return True
    if dataset == "issue" and not re.fullmatch(r"PC\d\d", row["BATCH_CODE"] or ""):
        return True
    if dataset in CLASSES and (row["NODE_CODE"] != node or row[kind] not in CLASSES[dataset]):
        return True
    try:
        datetime.strptime(padded(row[event]), "%Y%m%d%H%M%S")  # noqa: DTZ007
        return dataset == "issue_outcome" and (yuan(row) < 0 or int(row["QUANTITY"] or 0) < 0)
    except (ValueError, InvalidOperation):
        return True


def padded(time: str | None) -> str:
    return str(time).ljust(14, "0")


def yuan(row: Row) -> Decimal:
    amount = Decimal(row["AMOUNT"] or 0) * (10_000 if row["PRICE_UNIT"] == "1" else 1)
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def class_of(dataset: str, row: Row) -> str:
    return str(row[KEYS[dataset][2]]) if KEYS[dataset][2] else ""
