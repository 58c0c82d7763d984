"""The demo's last table: what was read, loaded and published, and where to look further."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from demo.airflow import USER, Airflow
from demo.books import Key, Total, differences, totals_in_books, totals_in_marts
from demo.layout import DemoError
from yingshang.cli.figures import figures_table, summary
from yingshang.contracts.registry import load_registry
from yingshang.quality.access import probe_line
from yingshang.quality.figures import PublishedFigures, published_figures
from yingshang.quality.scorecard import SourceLevel, published_levels
from yingshang.warehouse import dsn

SHOWN_DIFFERENCES = 3
LOADED = """
select
    system, dataset, count(*), sum(source_rows)::bigint, sum(raw_rows)::bigint, sum(quarantined_rows)::bigint,
    sum(duplicate_rows)::bigint
from ops.batch
group by system, dataset
order by array_position(array['trading', 'supervision', 'hotline', 'sunshine'], system), dataset
"""
PROVISIONS = """
select system, count(*), count(*) filter (where not is_missing), count(*) filter (where last_arrival_night is null)
from marts.rpt_provision
group by system
order by array_position(array['trading', 'supervision', 'hotline', 'sunshine'], system)
"""
SPAN = """
select
    count(distinct type_code) filter (where type_code <> 'unknown'),
    count(distinct industry_code) filter (where type_code <> 'unknown'),
    sum(contract_yuan),
    count(*) filter (where is_held)
from marts.fct_transaction
"""
NIGHTS = """
with checks as (
    select run_id, count(*) filter (where holds) as passed, count(*) as every
    from (
        select run_id, bool_and(is_success) as holds
        from (
            select distinct on (run_id, stage, suite, expectation, batch_id) *
            from ops.check_result order by run_id, stage, suite, expectation, batch_id, result_id desc
        ) newest
        group by run_id, stage, severity, suite, expectation
    ) one
    group by run_id
)
select
    r.night::text,
    count(distinct p.node_code) filter (where p.outcome in ('loaded', 'nothing_to_send')),
    count(distinct p.node_code),
    coalesce((select c.passed from checks c where c.run_id = r.run_id), 0),
    coalesce((select c.every from checks c where c.run_id = r.run_id), 0),
    (select to_char(max(b.published_at), 'YYYY-MM-DD HH24:MI:SS') from ops.publication b where b.run_id = r.run_id)
from ops.night_run r left join ops.provision_run p using (run_id)
group by r.run_id, r.night order by r.opened_at
"""


@dataclass(frozen=True)
class Answers:
    """What the ledger and the marts say."""

    loaded: list[tuple[str, str, int, int, int, int, int]]
    provisions: list[tuple[str, int, int, int]]
    figures: PublishedFigures
    in_marts: Counter[tuple[str, str]]
    in_books: Counter[tuple[str, str]]
    differences: list[str]
    levels: list[SourceLevel]
    span: tuple[int, int, float, int]
    nights: list[tuple[str, int, int, int, int, str]]


def print_report(console: Console, airflow: Airflow, truth_csv: Path, seconds: float) -> None:
    """Print the tables; marts are read as the BI tool's role reads them."""
    answers = _ask(truth_csv, load_registry().systems)
    console.print(_rows(answers))
    console.print(_provisions(answers))
    console.print(_levels(answers.levels))
    nights = Table(title="Nights", title_justify="left")
    for name in ("night", "nodes arrived", "checks passed", "published"):
        nights.add_column(name, justify="left" if name in ("night", "published") else "right")
    for night, arrived, nodes, passed, checks, published in answers.nights:
        nights.add_row(night, f"{arrived} of {nodes}", f"{passed} of {checks}", published or "not published")
    console.print(nights)
    console.print(figures_table(answers.figures, brief=True))
    types, industries, yuan, held = answers.span
    console.print(
        f"transaction types [bold]{types}[/] · industries [bold]{industries}[/] · "
        f"contracts {yuan:,.2f} yuan · lots held for confirmation {held}"
    )
    console.print(f"[bold]{summary(answers.figures)}[/] (`yingshang figures`)", highlight=False)
    if answers.differences:
        console.print(f"[yellow]the marts differ from the books[/] in {len(answers.differences)} totals, as in:")
        for line in answers.differences[:SHOWN_DIFFERENCES]:
            console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
    else:
        console.print("all live keys and sums of the marts are those of the province's own books")
    console.print(probe_line(), highlight=False, soft_wrap=True)
    console.print(f"Airflow    {airflow.url}  user {USER}  password {airflow.password}")
    console.print(f"marts      psql '{_plain_dsn()}'  (schema marts)", soft_wrap=True)
    console.print(f"data docs  {_data_docs()}", soft_wrap=True)
    console.print(f"report     {_night_report(answers)}", soft_wrap=True)
    console.print("dashboards `make bi` shows them in Superset")
    console.print(
        f"done in {seconds:.0f} s. `make demo` again goes on with the next nights, `make stop` ends everything."
    )


def _rows(answers: Answers) -> Table:
    table = Table(title="Rows per dataset", title_justify="left")
    for name in ("system", "dataset"):
        table.add_column(name)
    for name in ("batches", "read", "loaded", "quarantined", "identical", "in marts", "in the books"):
        table.add_column(name, justify="right")
    before = ""
    for system, dataset, *numbers in answers.loaded:
        if before not in ("", system):
            table.add_section()
        keys = (answers.in_marts[system, dataset], answers.in_books[system, dataset])
        table.add_row("" if system == before else system, dataset, *(f"{number:,}" for number in (*numbers, *keys)))
        before = system
    return table


def _provisions(answers: Answers) -> Table:
    table = Table(title="Provisions of the last night", title_justify="left")
    table.add_column("system")
    for name in ("owed", "arrived", "missing", "never came"):
        table.add_column(name, justify="right")
    for system, owed, arrived, never in answers.provisions:
        table.add_row(system, *(f"{number:,}" for number in (owed, arrived, owed - arrived, never)))
    table.add_section()
    columns = list(zip(*((owed, arrived, never) for _, owed, arrived, never in answers.provisions), strict=True))
    owed, arrived, never = (sum(column) for column in columns)
    table.add_row("all", *(f"{number:,}" for number in (owed, arrived, owed - arrived, never)))
    return table


def _levels(levels: Sequence[SourceLevel]) -> Table:
    table = Table(
        title="Quality of the sources: nodes by level, as `yingshang status` shows them", title_justify="left"
    )
    table.add_column("system")
    for name in ("A", "B", "C", "D", "rows of the night", "quarantined", "most frequent shortcoming"):
        table.add_column(name, justify="left" if name.startswith("most") else "right")
    for system in dict.fromkeys(one.system for one in sorted(levels, key=lambda one: _place(one.system))):
        cards = [one for one in levels if one.system == system]
        nodes = Counter(one.quality_level for one in cards)
        why = Counter(reason for one in cards for reason in (one.shortcomings or "").split(", ") if reason)
        table.add_row(
            system,
            *(f"{nodes[level]:,}" for level in "ABCD"),
            f"{sum(one.night_source_rows for one in cards):,}",
            f"{sum(one.night_quarantined_rows for one in cards):,}",
            ", ".join(f"{reason} ({number} nodes)" for reason, number in why.most_common(1)) or "none",
        )
    return table


def _place(system: str) -> int:
    return load_registry().systems.index(system)


def _plain_dsn() -> str:
    """The reader's DSN without the session options that the program adds for itself."""
    return dsn("bi_reader").partition("?")[0]


def _data_docs() -> str:
    from yingshang.settings import settings

    return (settings().data_docs / "index.html").as_uri()


def _night_report(answers: Answers) -> str:
    """The report of the newest night that was run."""
    from yingshang.report import reports_dir

    return (reports_dir() / f"{max(night for night, *_ in answers.nights)}.html").as_uri()


def _keys(totals: dict[Key, Total]) -> Counter[tuple[str, str]]:
    counted: Counter[tuple[str, str]] = Counter()
    for (system, dataset, _, _), total in totals.items():
        counted[system, dataset] += total.live_keys
    return counted


def _ask(truth_csv: Path, systems: Sequence[str]) -> Answers:
    with psycopg.connect(dsn("owner")) as owner, psycopg.connect(dsn("bi_reader")) as reader:
        span = reader.execute(SPAN).fetchone()
        if span is None:
            raise DemoError("marts.fct_transaction gives no answer")
        return Answers(
            loaded=owner.execute(LOADED).fetchall(),
            provisions=reader.execute(PROVISIONS).fetchall(),
            figures=published_figures(),
            in_marts=_keys(totals_in_marts(reader)),
            in_books=_keys(totals_in_books(truth_csv, systems)),
            differences=differences(reader, truth_csv, systems),
            levels=published_levels(),
            span=span,
            nights=owner.execute(NIGHTS).fetchall(),
        )
