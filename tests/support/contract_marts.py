"""Marts with the columns of their contracts and rows of a test's own, as readers see them, without a build."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import psycopg
import yaml
from psycopg import sql

from yingshang.export.catalog import catalog
from yingshang.settings import PROJECT_ROOT
from yingshang.warehouse.rights import grant_statements

Rows = Sequence[Mapping[str, Any]]
READERS = ("yingshang_bi_reader", "yingshang_bi_public")


@cache
def contracts() -> dict[str, dict[str, str]]:
    """Mart -> column -> type, from the files beside the models."""
    found = {}
    for file in (PROJECT_ROOT / "dbt_project" / "models" / "marts").rglob("*.yml"):
        for model in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("models", []):
            columns = {column["name"]: column["data_type"] for column in model["columns"]}
            found[model["name"]] = {**columns, "_slot": "text", "_build_id": "bigint"}
    return found


def publish_rows(admin: psycopg.Connection[Any], marts: Mapping[str, Rows], publication_id: int = 7) -> None:
    """Serve marts of these rows (columns that are not given are null) as one publication of 2024-08-13.

    Readers have the grants that a publication gives: of a mart with a confidential column, the other columns alone.
    """
    readers = [
        name for name in READERS if admin.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone()
    ]
    admin.execute("create schema told")
    admin.execute("drop view if exists marts.publication")
    admin.execute(
        sql.SQL(
            "create view marts.publication as select {}::bigint as publication_id, 3::bigint as build_id,"
            " date '2024-08-13' as night, timestamptz '2024-08-14 02:00+08' as published_at,"
            " {}::jsonb as missing_nodes"
        ).format(sql.Literal(publication_id), sql.Literal('{"trading": ["210202"]}'))
    )
    known = catalog()
    for mart, rows in marts.items():
        types = contracts()[mart]
        table = sql.Identifier("told", mart)
        columns = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in types.items())
        admin.execute(sql.SQL("create table {} ({})").format(table, columns))
        for row in rows:
            names = sql.SQL(", ").join(map(sql.Identifier, row))
            values = sql.SQL(", ").join(sql.Placeholder() for _ in row)
            admin.execute(sql.SQL("insert into {} ({}) values ({})").format(table, names, values), list(row.values()))
        admin.execute(sql.SQL("comment on column {}.{} is 'told'").format(table, sql.Identifier(next(iter(types)))))
        admin.execute(sql.SQL("create view {} as select * from {}").format(sql.Identifier("marts", mart), table))
        for statement in grant_statements("marts", mart, known[mart].rights, list(types), []):
            admin.execute(statement)
    for reader in readers:
        admin.execute(sql.SQL("grant select on marts.publication to {}").format(sql.Identifier(reader)))
