"""Reading a simulated province as a stranger would: with psycopg, httpx and asyncssh, knowing nothing of its books."""

import asyncio
import hashlib
import hmac
import io
import json
import secrets
import time
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncssh
import httpx
import polars as pl
import psycopg
import python_calamine
from lxml import etree

from simulator import Province

Row = dict[str, str | None]
Tables = dict[str, tuple[str, tuple[str, ...]]]
Shown = dict[tuple[str, str], list[Row]]


def everything(province: Province, system: str, tables: Tables) -> Shown:
    """All rows that each node shows, per (dataset, node): present versions, or every delivered row of the drops.

    ``tables``: dataset -> name of its table, and the levels of the nodes that have it.
    """
    found: Shown = {}
    for node in province.nodes():
        name = f"{system}_{node.code}"
        if name not in province.connections():
            continue
        uri = province.connections()[name]
        mine = {dataset: table for dataset, (table, levels) in tables.items() if node.level in levels}
        match urlsplit(uri).scheme:
            case "postgresql":
                rows = from_postgres(uri, mine)
            case "http":
                reader = Api(province, node.code, system)
                assert reader.token().status_code == 200
                rows = {dataset: reader.all(table, limit=500) for dataset, table in mine.items()}
            case _:
                rows = asyncio.run(from_drops(uri, node.code, mine))
        found |= {(dataset, node.code): present for dataset, present in rows.items()}
    return found


def from_postgres(uri: str, tables: dict[str, str]) -> dict[str, list[Row]]:
    """All rows of some tables (dataset -> table), as texts under national names."""
    found = {}
    with psycopg.connect(uri, row_factory=psycopg.rows.dict_row) as connection:
        for dataset, table in tables.items():
            rows = connection.execute(f"select * from {table.lower()}").fetchall()
            found[dataset] = [{k.upper(): None if v is None else str(v) for k, v in row.items()} for row in rows]
    return found


class Sftp:
    """An SFTP session that checks the server's key."""

    def __init__(self, uri: str) -> None:
        self.parts = urlsplit(uri)

    async def __aenter__(self) -> asyncssh.SFTPClient:
        key = dict(parse_qsl(self.parts.query))["host_key"]
        known = asyncssh.import_known_hosts(f"[127.0.0.1]:{self.parts.port} {key}\n")
        self.connection = await asyncssh.connect(
            "127.0.0.1",
            self.parts.port or 0,
            username=self.parts.username or "",
            password=unquote(self.parts.password or ""),
            known_hosts=known,
            client_keys=None,
        )
        return await self.connection.start_sftp_client()

    async def __aexit__(self, *_: object) -> None:
        self.connection.close()
        await self.connection.wait_closed()


async def names_in(uri: str) -> list[str]:
    """What stands in an outbox."""
    async with Sftp(uri) as client:
        return [str(name) for name in await client.listdir("/outbox")]


async def from_drops(uri: str, node: str, tables: dict[str, str]) -> dict[str, list[Row]]:
    """Rows of the last revision of each period."""
    last: dict[tuple[str, str], tuple[int, list[Row]]] = {}
    async with Sftp(uri) as client:
        for name in sorted(await client.listdir("/outbox")):
            if not str(name).endswith(".manifest.json"):
                continue
            async with client.open(f"/outbox/{name}", "rb") as file:
                manifest = json.loads(await file.read())
            async with client.open(f"/outbox/{manifest['file']}", "rb") as file:
                content = await file.read()
            assert hashlib.sha256(content).hexdigest() == manifest["sha256"]
            rows = READERS[manifest["file"].rsplit(".", 1)[1]](content)
            assert len(rows) == manifest["rows"]
            assert manifest["node_code"] == node
            key = (manifest["table"], manifest["period"])
            if manifest["revision"] > last.get(key, (0, []))[0]:
                last[key] = (manifest["revision"], rows)
    datasets = {table: dataset for dataset, table in tables.items()}
    found: dict[str, list[Row]] = {dataset: [] for dataset in tables}
    for (table, _), (_, rows) in sorted(last.items()):
        found[datasets[table]] += rows
    return found


def read_csv(content: bytes) -> list[Row]:
    frame = pl.read_csv(content.decode("gb18030").encode(), infer_schema=False)
    return frame.to_dicts()


def read_xlsx(content: bytes) -> list[Row]:
    rows = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    assert "单位：万元" in rows[0][0]
    return [{str(k): None if v == "" else str(v) for k, v in zip(rows[2], row, strict=True)} for row in rows[3:]]


def read_xml(content: bytes) -> list[Row]:
    found = []
    for record in etree.fromstring(content).findall("DES"):
        row: Row = {field.tag: field.text for field in record.find("CONTEXT")}
        if record.findtext("TITLE/DATA_TYPE") == "3":
            assert row["IS_DELETE"] in ("0", "F")
            row["IS_DELETE"] = "1"
        found.append(row)
    return found


READERS = {"csv": read_csv, "xlsx": read_xlsx, "xml": read_xml}


class Api:
    """A reader of one city's API of one system."""

    def __init__(self, province: Province, node: str = "210200", system: str = "trading") -> None:
        parts = urlsplit(province.connections()[f"{system}_{node}"])
        self.client, self.secret = parts.username or "", unquote(parts.password or "")
        self.base, self.path = f"http://127.0.0.1:{parts.port}", parts.path
        self.http = httpx.Client(base_url=self.base, timeout=20, trust_env=False)
        self.bearer = ""

    def sign(self, *parts: str) -> str:
        return hmac.new(self.secret.encode(), "\n".join(parts).encode(), hashlib.sha256).hexdigest()

    def token(self, **changes: str) -> httpx.Response:
        stamp, nonce = str(int(time.time())), secrets.token_hex(8)
        body = {"client_id": self.client, "timestamp": stamp, "nonce": nonce}
        body["signature"] = self.sign(self.client, stamp, nonce)
        answer = self.http.post(f"{self.path}/oauth/token", json={**body, **changes})
        self.bearer = answer.json().get("access_token", "")
        return answer

    def get(self, link: str, **changes: str) -> httpx.Response:
        stamp, nonce = str(int(time.time())), secrets.token_hex(8)
        headers = {
            "Authorization": f"Bearer {self.bearer}",
            "X-Timestamp": stamp,
            "X-Nonce": nonce,
            "X-Signature": self.sign("GET", link, stamp, nonce),
        }
        return self.http.get(link, headers={**headers, **changes})

    def table(self, name: str) -> str:
        return f"{self.path}/api/v1/{name}"

    def all(self, name: str, limit: int = 100, to: str = "99991231235959") -> list[Row]:
        link, rows, totals = f"{self.table(name)}?limit={limit}&to={to}", [], set()
        while link:
            answer = self.get(link)
            assert answer.status_code == 200, answer.text
            page = json.loads(answer.text)
            assert page["table"] == name
            assert len(page["rows"]) <= limit
            rows += page["rows"]
            totals.add(page["total"])
            link = page["next"]
        assert totals == {len(rows)}
        return rows
