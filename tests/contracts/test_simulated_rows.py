"""The simulated province breaks the contracts where its books say so, and nowhere else."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from simulator.books import Books, clock_after, date_of
from simulator.fleet import all_nodes
from simulator.generate import commit_night, new_province, prepare_night
from simulator.systems import SOURCES
from simulator.tables import System, Table
from yingshang.contracts import load_contracts
from yingshang.ingest.checks import RowChecks
from yingshang.ingest.conform import conform

CONTRACTS = load_contracts()
NIGHTS = 3
SIMULATED = {
    f"{source.system.name}.{t.dataset}": (source.system, t) for source in SOURCES for t in source.system.tables
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("province")
    new_province(folder, seed=1, scale=0.02, profile="tiny")
    for _ in range(NIGHTS):
        commit_night(folder, prepare_night(folder))
    return folder


@pytest.mark.parametrize(("name", "system", "table"), [(name, *both) for name, both in SIMULATED.items()])
def test_rows_break_their_contract_where_the_books_say_so(root: Path, name: str, system: System, table: Table) -> None:
    books = Books(root, system)
    for night in books.nights():
        rows = books.delivered(table.dataset, night)
        for (node,), part in rows.partition_by("_node", as_dict=True).items():
            checks = RowChecks(CONTRACTS[name], all_nodes()[node].code, clock_after(date_of(night)), is_text=True)
            text = {column: part[column].to_arrow().cast(pa.string()) for column in table.columns}
            verdict = checks.part(conform(pa.RecordBatch.from_pydict(text), CONTRACTS[name]))
            refused = part.filter(pl.col("_bad").is_not_null())
            assert verdict.bad.height == refused.height, (
                night, node, verdict.reasons[:5], refused["_bad"].to_list()[:5],
            )  # fmt: skip
            assert verdict.good.height + verdict.bad.height == part.height
