"""The demo's last table: what was read, loaded and published, and where to look further."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from demo.airflow import USER, Airflow
from demo.books import Key, Total, differences, totals_in_books, totals_in_marts
from demo.layout import DemoError
from yingshang.warehouse import dsn

LOADED = """
select dataset, sum(source_rows), sum(raw_rows), sum(quarantined_rows), sum(duplicate_rows), count(*)
from ops.batch group by dataset order by dataset
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
select
    r.night::text,
    count(distinct p.node_code) filter (where p.outcome in ('loaded', 'nothing_to_send')),
    count(distinct p.node_code),
    (select count(*) from ops.check_result c where c.run_id = r.run_id and c.is_success),
    (select count(*) from ops.check_result c where c.run_id = r.run_id),
    (select to_char(max(b.published_at), 'YYYY-MM-DD HH24:MI:SS') from ops.publication b where b.run_id = r.run_id)
from ops.night_run r left join ops.provision_run p using (run_id)
group by r.run_id, r.night order by r.opened_at
"""


@dataclass(frozen=True)
class Answers:
    """What the ledger and the marts say."""

    loaded: list[tuple[str, int, int, int, int, int]]
    in_marts: Counter[str]
    in_books: Counter[str]
    differences: list[str]
    span: tuple[int, int, float, int]
    nights: list[tuple[str, int, int, int, int, str]]


def print_report(console: Console, airflow: Airflow, truth_csv: Path, seconds: float) -> None:
    """Print the tables; marts are read as the BI tool's role reads them.

    Raises:
        DemoError: the marts differ from the province's own books.
    """
    answers = _ask(truth_csv)
    rows = Table(title="Rows per dataset of trading", title_justify="left")
    for name in ("dataset", "batches", "read", "loaded", "quarantined", "identical", "in marts", "in the books"):
        rows.add_column(name, justify="left" if name == "dataset" else "right")
    for dataset, read, loaded, quarantined, identical, batches in answers.loaded:
        keys = (answers.in_marts[dataset], answers.in_books[dataset])
        numbers = (batches, read, loaded, quarantined, identical, *keys)
        rows.add_row(dataset, *(f"{number:,}" for number in numbers))
    console.print(rows)
    nights = Table(title="Nights", title_justify="left")
    for name in ("night", "nodes arrived", "checks passed", "published"):
        nights.add_column(name, justify="left" if name in ("night", "published") else "right")
    for night, arrived, nodes, passed, checks, published in answers.nights:
        nights.add_row(night, f"{arrived} of {nodes}", f"{passed} of {checks}", published or "not published")
    console.print(nights)
    types, industries, yuan, held = answers.span
    console.print(
        f"transaction types [bold]{types}[/] · industries [bold]{industries}[/] · "
        f"contracts {yuan:,.2f} yuan · lots held for confirmation {held}"
    )
    console.print(f"Airflow    {airflow.url}  user {USER}  password {airflow.password}")
    console.print(f"marts      psql '{_plain_dsn()}'  (schema marts)", soft_wrap=True)
    console.print(f"data docs  {_data_docs()}", soft_wrap=True)
    console.print(
        f"done in {seconds:.0f} s. `make demo` again goes on with the next nights, `make stop` ends everything."
    )


def _plain_dsn() -> str:
    """The reader's DSN without the session options that the program adds for itself."""
    return dsn("bi_reader").partition("?")[0]


def _data_docs() -> str:
    from yingshang.settings import settings

    return (settings().data_docs / "index.html").as_uri()


def _keys(totals: dict[Key, Total]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for (dataset, _, _), total in totals.items():
        counted[dataset] += total.live_keys
    return counted


def _ask(truth_csv: Path) -> Answers:
    with psycopg.connect(dsn("owner")) as owner, psycopg.connect(dsn("bi_reader")) as reader:
        span = reader.execute(SPAN).fetchone()
        if span is None:
            raise DemoError("marts.fct_transaction gives no answer")
        return Answers(
            loaded=owner.execute(LOADED).fetchall(),
            in_marts=_keys(totals_in_marts(reader)),
            in_books=_keys(totals_in_books(truth_csv)),
            differences=differences(reader, truth_csv),
            span=span,
            nights=owner.execute(NIGHTS).fetchall(),
        )
