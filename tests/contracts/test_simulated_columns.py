"""The simulated province and the contracts, written apart, describe the same tables."""

import pytest

from simulator.tables import Table
from simulator.trading.schema import TRADING
from yingshang.contracts import load_contracts

CONTRACTS = load_contracts()


@pytest.mark.parametrize("table", TRADING.tables, ids=lambda table: table.dataset)
def test_the_simulated_table_is_that_of_the_contract(table: Table) -> None:
    contract = CONTRACTS[f"{TRADING.name}.{table.dataset}"]
    assert table.name == contract.table
    assert set(table.columns) == set(contract.column_names)
    assert (table.key, table.cursor, table.deleted) == (contract.primary_key, contract.cursor, contract.delete_column)
    chinese = {name: contract.column(name).business_name for name in table.columns}
    assert dict(table.columns) == chinese
