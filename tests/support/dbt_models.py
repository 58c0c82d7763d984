"""Builds of the dbt project as the publisher makes them, without serving them, for tests of the models."""

import datetime as dt
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from tests.support.raw_log import FIRST_NIGHT

from yingshang import secrets

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"


def _names(folder: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (PROJECT / "models").glob(f"{folder}/**/*.sql")))


MARTS = _names("marts")
COMPARED = (*MARTS, *_names("intermediate"))
"""Tables that a build leaves: what night by night must equal what from nothing."""


def profile_variables(dbname: str = "") -> dict[str, str]:
    """Where dbt finds the warehouse of this process; ``dbname``: another database of its server."""
    transform = secrets.connection("warehouse_transform")
    return {
        "YINGSHANG_DBT_HOST": str(transform.host),
        "YINGSHANG_DBT_PORT": str(transform.port),
        "YINGSHANG_DBT_USER": str(transform.login),
        "YINGSHANG_DBT_PASSWORD": str(transform.password),
        "YINGSHANG_DBT_DBNAME": dbname or transform.path.lstrip("/"),
    }


@dataclass
class Models:
    """Builds of all models, or of those that ``selection`` names: arguments of dbt, ("--select", "+fct_issue")."""

    connection: psycopg.Connection[Any]
    environment: Mapping[str, str]
    folder: Path
    project: Path = PROJECT
    selection: tuple[str, ...] = ()

    def seed(self, schema: str) -> None:
        """Load the seeds of a schema."""
        self.checked("seed", schema)

    def build(self, schema: str, *, to_seq: int, night: dt.date = FIRST_NIGHT, full: bool = False) -> int:
        """One build up to ``to_seq``; an incremental one goes on from the last of the schema."""
        build_id = self.open(schema, to_seq=to_seq, night=night, full=full)
        self.checked("run", schema, *self.selection, *(["--full-refresh"] if full else []))
        return build_id

    def open(self, schema: str, *, to_seq: int, night: dt.date = FIRST_NIGHT, full: bool = False) -> int:
        """Write the row of ops.build that models read their context from."""
        row = self.connection.execute(
            """insert into ops.build (schema_name, slot, kind, from_seq, to_seq, night)
            select %(schema)s, %(schema)s, %(kind)s,
                case when %(full)s then 0 else
                    (select b.to_seq from ops.build b where b.schema_name = %(schema)s order by build_id desc limit 1)
                end, %(to_seq)s, %(night)s
            returning build_id""",
            {
                "schema": schema, "kind": "full" if full else "incremental", "full": full, "to_seq": to_seq,
                "night": night,
            },
        ).fetchone()  # fmt: skip
        assert row
        return int(row[0])

    def run(self, command: str, schema: str, *arguments: str) -> Any:
        """Run dbt in this process; returns its result, good or bad.

        The project is parsed once for each target, and dbt writes neither JSON nor a log: a third of a run.
        """
        from dbt.cli.main import dbtRunner

        common = (
            *("--quiet", "--log-level-file", "none", "--no-write-json", "--project-dir", str(self.project)),
            *("--profiles-dir", str(self.project), "--target", schema),
            *("--target-path", str(self.folder / schema), "--log-path", str(self.folder / "logs")),
        )
        environment = tuple(self.environment.items())
        with _environment(self.environment):
            return dbtRunner(_manifest(common, environment)).invoke([command, *common, *arguments])

    def checked(self, command: str, schema: str, *arguments: str) -> None:
        """Run dbt; it must succeed."""
        result = self.run(command, schema, *arguments)
        bad = [
            f"{one.node.name}: {one.message}"
            for one in getattr(result.result, "results", []) or []
            if one.status not in ("success", "pass")
        ]
        assert result.success, f"dbt {command}: {result.exception or bad}"

    def differences(self, one: str, other: str) -> dict[str, int]:
        """Rows that are in one schema only, by table: EXCEPT ALL both ways, _slot and _build_id apart.

        Of the tables that the schemas have: a selection builds some only.
        """
        present = self.connection.execute(
            """select tablename from pg_tables where schemaname in (%s, %s) and tablename = any(%s)
            group by tablename order by tablename""",
            (one, other, list(COMPARED)),
        ).fetchall()
        assert present, "no table to compare"
        found = {}
        for (mart,) in present:
            columns = sql.SQL(", ").join(
                sql.Identifier(name)
                for (name,) in self.connection.execute(
                    """select attname from pg_attribute where attrelid = %s::regclass and attnum > 0
                    and not attisdropped and attname not in ('_slot', '_build_id') order by attnum""",
                    (f"{one}.{mart}",),
                )
            )
            ways = [
                sql.SQL("(select {c} from {a} except all select {c} from {b})").format(
                    c=columns, a=sql.Identifier(a, mart), b=sql.Identifier(b, mart)
                )
                for a, b in ((one, other), (other, one))
            ]
            row = self.connection.execute(sql.SQL("select count(*) from ({} union all {}) d").format(*ways)).fetchone()
            assert row
            if row[0]:
                found[mart] = int(row[0])
        return found

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()  # type: ignore[arg-type]

    def row(self, query: str) -> tuple[Any, ...]:
        (found,) = self.rows(query)
        return found


@lru_cache(maxsize=4)
def _manifest(common: tuple[str, ...], environment: tuple[tuple[str, str], ...]) -> Any:
    """The parsed project; dbt bakes the database's name and what the environment says into it."""
    from dbt.cli.main import dbtRunner

    parsed = dbtRunner().invoke(["parse", *common])
    assert parsed.success, f"dbt parse: {parsed.exception}"
    return parsed.result


def copied_project(folder: Path, edits: Mapping[str, tuple[str, str]]) -> Path:
    """A copy of the dbt project with ``{file: (old, new)}`` replaced, for controls that must go red."""
    target = folder / "dbt_project"
    other_registries = "[0-9a-f]" * 12
    shutil.copytree(PROJECT, target, ignore=shutil.ignore_patterns("target", "logs", other_registries))
    for name, (old, new) in edits.items():
        text = (target / name).read_text(encoding="utf-8")
        assert old in text, f"{name} no longer has {old!r}: write the control anew"
        (target / name).write_text(text.replace(old, new), encoding="utf-8")
    return target


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
