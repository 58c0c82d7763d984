"""What a person with any BI tool relies on, asked of a published warehouse."""

import re
import subprocess
import sys
from pathlib import Path

from psycopg import Connection, sql
from tests.support.bi_queries import bi_queries
from tests.support.red_flag_books import red_flags_in_books

from simulator import Province

ROOT = Path(__file__).resolve().parents[2]
STAR_SCHEMA = ROOT / "docs" / "reference" / "star-schema.md"
MAY_BE_EMPTY = {"02_missing_provisions", "07_latest_lots", "12_lots_with_most_flags", "14_overdue_by_city"}
_JOIN = re.compile(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)\.(\w+)` \|", re.MULTILINE)


def assert_every_view_and_column_is_described(reader: Connection) -> None:
    """Comments of the views in marts, as any client shows them."""
    bare = reader.execute(
        """select c.relname, null from pg_class as c
        where c.relnamespace = 'marts'::regnamespace and obj_description(c.oid, 'pg_class') is null
        union all
        select c.relname, a.attname from pg_class as c join pg_attribute as a on a.attrelid = c.oid
        where c.relnamespace = 'marts'::regnamespace and a.attnum > 0 and not a.attisdropped
            and col_description(c.oid, a.attnum) is null"""
    ).fetchall()
    assert bare == [], f"views or columns without a comment: {bare}"


def assert_sample_queries_answer(reader: Connection) -> None:
    """All of include/bi/sql run; those that cannot be empty have rows."""
    empty = {query.name for query in bi_queries() if not reader.execute(query.sql.encode()).fetchall()}
    assert empty <= MAY_BE_EMPTY, f"no rows: {empty - MAY_BE_EMPTY}"


def assert_joins_of_the_star_schema_meet(reader: Connection) -> None:
    """Each join of the page finds partners, wherever there is something to join, and a key's partner once at most."""
    joins = _JOIN.findall(STAR_SCHEMA.read_text(encoding="utf-8"))
    assert len(joins) > 80
    for mart, column, to, to_column in joins:
        row = reader.execute(
            sql.SQL(
                "select count(*), count(*) filter (where p.times > 0), max(p.times) from"
                " (select distinct key from"
                " (select {column} as key from {mart} where {column} is not null limit 2000) as sampled) as k"
                " left join (select {to_column} as key, count(*) as times from {to} group by 1) as p using (key)"
            ).format(
                column=sql.Identifier(column),
                mart=sql.Identifier("marts", mart),
                to=sql.Identifier("marts", to),
                to_column=sql.Identifier(to_column),
            )
        ).fetchone()
        assert row is not None
        keys, met, times = row
        assert keys == 0 or met > 0, f"{mart}.{column} never meets {to}.{to_column}"
        assert times in (None, 1), f"{to}.{to_column} is no key: {times} rows of one {mart}.{column}"


def assert_red_flags_equal_books(reader: Connection, province: Province) -> None:
    """Every hit, flag by flag, is one of the province's own books; and every planted kind is there."""
    found = set(reader.execute("select red_flag_id, subject_key from marts.rpt_red_flag").fetchall())
    books = red_flags_in_books(province)
    assert found == books, (
        f"in the mart only {sorted(found - books)[:8]}, in the books only {sorted(books - found)[:8]}"
    )
    assert {"R003", "R018", "R030", "R040", "R059", "R060", "LN02"} <= {flag for flag, _ in books}


def assert_no_query_fails_while_the_live_slot_flips() -> None:
    """The benchmark of dashboards, for a second and by two clients: how fast is not asked here."""
    bench = [sys.executable, str(ROOT / "tests" / "bench" / "bench_bi.py"), "--clients", "2", "--seconds", "1"]
    done = subprocess.run(
        [*bench, "--flip-every", "0.1", "--goal-ms", "60000"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    flips = re.search(r"2 clients, (\d+) flips, 0 failed", done.stdout)
    assert flips, done.stdout
    assert int(flips[1]) > 1
