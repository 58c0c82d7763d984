"""The simulated province and the contracts, written apart, describe the same tables."""

import pytest

from simulator.systems import SOURCES
from simulator.tables import Table
from yingshang.contracts import load_contracts

CONTRACTS = load_contracts()
TABLES = {f"{source.system.name}.{table.dataset}": table for source in SOURCES for table in source.system.tables}


@pytest.mark.parametrize(("name", "table"), TABLES.items(), ids=TABLES.keys())
def test_the_simulated_table_is_that_of_the_contract(name: str, table: Table) -> None:
    contract = CONTRACTS[name]
    assert table.name == contract.table
    assert set(table.columns) == set(contract.column_names)
    assert (table.key, table.cursor, table.deleted) == (contract.primary_key, contract.cursor, contract.delete_column)
    chinese = {name: contract.column(name).business_name for name in table.columns}
    assert dict(table.columns) == chinese


def test_every_dataset_is_simulated() -> None:
    assert set(TABLES) == set(CONTRACTS)


@pytest.mark.parametrize(("name", "table"), TABLES.items(), ids=TABLES.keys())
def test_numbers_at_the_source_are_numbers_in_the_contract(name: str, table: Table) -> None:
    columns = CONTRACTS[name].columns
    assert set(table.integers) == {column.name for column in columns if column.kind == "integer"}
    assert {table.price} - {None} == {column.name for column in columns if column.kind == "decimal"}
