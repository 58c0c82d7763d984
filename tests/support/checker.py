"""What holds after every night: the marts equal the simulator's books, and nothing is lost on the way."""

import csv
from pathlib import Path

from psycopg import Connection, sql

from demo.books import differences, totals_in_books
from yingshang.contracts import load_contracts


def assert_marts_equal_books(reader: Connection, truth_csv: Path) -> None:
    """Counts and sums in yuan per dataset, node and type are those of the books, to the cent."""
    assert totals_in_books(truth_csv), f"{truth_csv} is empty"
    wrong = differences(reader, truth_csv)
    assert not wrong, f"{len(wrong)} totals differ:\n" + "\n".join(wrong[:12])


def assert_nothing_lost(owner: Connection) -> None:
    """I1 for every batch, with counts taken in raw and quarantine, not those that the ledger states."""
    for contract in load_contracts().values():
        in_raw = dict(
            owner.execute(
                sql.SQL("select _batch_id, count(*) from {} group by 1").format(
                    sql.Identifier("raw", contract.raw_table)
                )
            ).fetchall()
        )
        in_quarantine = dict(
            owner.execute(
                "select batch_id, count(*) from quarantine.row where dataset = %s and batch_id is not null group by 1",
                (contract.dataset,),
            ).fetchall()
        )
        batches = owner.execute(
            "select batch_id, source_rows, duplicate_rows from ops.batch where system = %s and dataset = %s",
            (contract.system, contract.dataset),
        ).fetchall()
        for batch_id, source_rows, duplicates in batches:
            found = in_raw.pop(batch_id, 0) + in_quarantine.pop(batch_id, 0) + duplicates
            assert found == source_rows, (contract.name, batch_id, source_rows, found)
        assert not in_raw, f"{contract.name}: rows in raw of batches that the ledger does not know: {in_raw}"
        assert not in_quarantine, (contract.name, in_quarantine)


def assert_reads_equal_books(owner: Connection, run_id: str, reads_csv: Path) -> None:
    """A first full read: rows read, quarantined and identical per dataset and node are what the books delivered.

    Systems that the run did not read are left out.
    """
    systems = {
        system
        for (system,) in owner.execute("select distinct system from ops.batch where run_id = %s", (run_id,)).fetchall()
    }
    found = {
        (dataset, node): (read, quarantined, identical)
        for dataset, node, read, quarantined, identical in owner.execute(
            "select dataset, node_code, sum(source_rows)::int, sum(quarantined_rows)::int, sum(duplicate_rows)::int"
            " from ops.batch where run_id = %s group by 1, 2",
            (run_id,),
        ).fetchall()
    }
    with reads_csv.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["system"] not in systems:
                continue
            future = int(row["future_rows"])
            expected = (int(row["full_rows"]) + future, int(row["bad_rows"]) + future, int(row["copies"]))
            key = (row["dataset"], row["node_code"])
            assert found.pop(key, (0, 0, 0)) == expected, (key, row)
    assert not found, f"read from nodes that the books do not know: {found}"
