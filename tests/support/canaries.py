"""Looks for words that must not be there: in files (packed ones unpacked, Parquet read) and in databases."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cryptography.fernet import Fernet
from psycopg import sql

from simulator import Province
from simulator.canaries import MARKERS, PERSONAL
from yingshang.contracts import load_contracts
from yingshang.secrets import Keys

SHORTEST_BASE64 = 6
LARGE = 2**18


class Needles:
    """Words in every form in which programs write them: charsets, escapes of JSON and URLs, hex, base64."""

    def __init__(self, words: Iterable[str]) -> None:
        self._forms = {form: word for word in words for form in _forms(word)}
        self._one_to_one = [form.decode("latin-1") for form in self._forms]  # a character for a byte

    def within(self, content: bytes) -> set[str]:
        """The words that stand in ``content``."""
        if len(content) > LARGE:  # all forms in one go: hundreds one by one would take minutes
            text = pl.Series([content.decode("latin-1")])
            if not text.str.contains_any(self._one_to_one).item():
                return set()
        return {word for form, word in self._forms.items() if form in content}


def _forms(word: str) -> Iterator[bytes]:
    for charset in ("utf-8", "gb18030", "utf-16-le"):
        yield word.encode(charset)
    content = word.encode()
    escaped = json.dumps(word)[1:-1]
    for form in (escaped, json.dumps(escaped)[1:-1], quote(word), content.hex()):
        yield form.encode()
        yield form.lower().encode()
        yield form.upper().encode()
    if len(content) >= SHORTEST_BASE64:
        for shift in range(3):  # base64 shows a word in three ways, by where it begins
            coded = base64.b64encode(b"\0" * shift + content).decode()
            yield coded[(0, 2, 3)[shift] : len(coded) // 4 * 4 - 4].encode()


def leaks_in_files(folders: Iterable[Path], needles: Needles, *, apart: Iterable[Path] = ()) -> list[str]:
    """``path: word`` of every file below ``folders`` that holds one; links and what is ``apart`` are left out."""
    left_out = {path.resolve() for path in apart}
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not path.is_file() or left_out & {path.resolve(), *path.resolve().parents}:
                continue
            found += [f"{path.relative_to(folder)}: {word}" for word in sorted(_words_of(path, needles))]
    return found


def _words_of(path: Path, needles: Needles) -> set[str]:
    content = path.read_bytes()
    found = needles.within(path.name.encode()) | needles.within(content)
    if content[:2] == b"\x1f\x8b":
        found |= needles.within(gzip.decompress(content))
    elif content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                found |= needles.within(archive.read(name))
    elif content[:4] == b"PAR1":
        for column in pq.read_table(pa.BufferReader(content)).itercolumns():
            if "binary" in str(column.type):
                found |= needles.within(b"\n".join(value for value in column.to_pylist() if value))
            else:
                texts = pc.unique(column.cast(pa.large_string())).drop_null().to_pylist()
                found |= needles.within("\n".join(texts).encode())
    return found


def leaks_in_database(connection: psycopg.Connection, needles: Needles) -> list[str]:
    """``schema.table.column: word`` of every column of every table that holds a word; connection: a superuser's."""
    tables = connection.execute(
        "select n.nspname, c.relname, array_agg(a.attname::text order by a.attnum) from pg_attribute as a"
        " join pg_class as c on c.oid = a.attrelid join pg_namespace as n on n.oid = c.relnamespace"
        " where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'm')"
        " and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') group by 1, 2 order by 1, 2"
    ).fetchall()
    found = []
    for schema, table, columns in tables:
        if not needles.within(_copied(connection, schema, table, columns)):
            continue
        for column in columns:
            words = needles.within(_copied(connection, schema, table, [column]))
            found += [f"{schema}.{table}.{column}: {word}" for word in sorted(words)]
    return found


def _copied(connection: psycopg.Connection, schema: str, table: str, columns: Iterable[str]) -> bytes:
    """Columns of a table as COPY writes them: bytes as hex, backslashes doubled."""
    names = sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    query = sql.SQL("copy (select {} from {}) to stdout").format(names, sql.Identifier(schema, table))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        return b"".join(copy)


def secret_words(folder: Path, *, more: Iterable[Path] = ()) -> list[str]:
    """Every password and key of an installation: what stands in its connections and keys, and in ``more`` files."""
    connections = json.loads((folder / "connections.json").read_text(encoding="utf-8"))
    words = [str(urlsplit(uri).password) for uri in connections.values() if urlsplit(uri).password]
    keys = json.loads((folder / "keys.json").read_text(encoding="utf-8"))
    words += [key for ring in keys.values() for key in ring["keys"].values()]
    words += [path.read_text(encoding="utf-8").strip() for path in more]
    return sorted({word for word in words if len(word) >= 8})


def planted_in_books(province: Province) -> dict[tuple[str, str], tuple[int, int]]:
    """(system.dataset, column) -> planted good rows, and broken rows with a canary anywhere, of all nights."""
    found = {}
    for (system, dataset), columns in PERSONAL.items():
        books = province.books[system]
        frames = [books.delivered(dataset, night) for night in books.nights()]
        for column, value in columns.items():
            good = bad = 0
            for frame in frames:
                has = frame[column].fill_null("").str.starts_with(value)
                good += int((has & frame["_bad"].is_null()).sum())
                bad += int((has & frame["_bad"].is_not_null()).sum())
            found[f"{system}.{dataset}", column] = (good, bad)
    return found


def arrived_as_tokens(owner: psycopg.Connection, province: Province, keys: Keys) -> Mapping[tuple[str, str], int]:
    """(system.dataset, column) -> rows of raw with the token of a canary, made here with the standard library."""
    found = {}
    for name, column in planted_in_books(province):
        contract = load_contracts()[name]
        if not contract.column(column).is_token:
            continue
        books = province.books[contract.system]
        value = PERSONAL[contract.system, contract.dataset][column]
        frames = [books.delivered(contract.dataset, night, [column])[column] for night in books.nights()]
        values = {one for frame in frames for one in frame.drop_nulls() if one.startswith(value)}
        key = keys.hmac.active_key
        tokens = [
            f"{keys.hmac.active}:{hmac.new(key, one.encode(), hashlib.sha256).hexdigest()}" for one in sorted(values)
        ]
        row = owner.execute(
            sql.SQL("select count(*) from {} where {} = any(%s)").format(
                sql.Identifier("raw", contract.raw_table), sql.Identifier(contract.column(column).raw_name)
            ),
            (tokens,),
        ).fetchone()
        found[name, column] = int(row[0]) if row else 0
    return found


def decrypted_with_canary(owner: psycopg.Connection, keys: Keys) -> dict[str, set[str]]:
    """system.dataset -> canaries that stand in its decrypted quarantine."""
    found: dict[str, set[str]] = {}
    rows = owner.execute("select system || '.' || dataset, payload, key_id from quarantine.row").fetchall()
    for name, payload, key_id in rows:
        content = Fernet(keys.quarantine.keys[key_id]).decrypt(payload).decode()
        found.setdefault(name, set()).update(marker for marker in MARKERS if marker in content)
    return found
