"""Public procurement as Open Contracting releases (OCDS 1.1): one contracting process per lot.

A process has up to four releases: tender, award, contract, implementation, each dated by the newest record that it
speaks of. What stands where, and what is reconstructed, is in docs/reference/ocds.md.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any, LiteralString

from psycopg.rows import dict_row

from yingshang.errors import UsageError
from yingshang.export.output import check_output, sha256_of, whole_folder
from yingshang.export.releases import Names, releases
from yingshang.export.snapshot import TIME_LIMIT, Publication, publication_of, reader, snapshot
from yingshang.warehouse import PgConnection

OCDS_INDUSTRIES: dict[str, str] = {
    "01": "engineering construction 工程建设",
    "02": "government procurement 政府采购",
    "10": "pharmaceutical procurement 医药采购",
}
"""The industries that are public procurement: in the others the state sells."""
PREFIX = "ocds-lnyshg"
"""Reconstructed: a publisher registers its prefix with the Open Contracting Partnership, and gives it here."""
PUBLISHER = "Yingshang 营商 (simulated data)"
BASE_URI = "urn:yingshang:publication:{publication}:ocds"
MANIFEST = "manifest.json"
FETCHED = 500
"""Lots that a server-side cursor hands over at a time."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Package:
    """A release package that was written: lots of one industry that were made in one month."""

    path: str
    industry: str
    month: str
    processes: int
    releases: int


@dataclass(frozen=True)
class OcdsReport:
    """What an export of releases has written. ``left_out``: why -> lots that have no release."""

    output: Path
    publication: Publication
    role: str
    packages: tuple[Package, ...]
    left_out: Mapping[str, int]

    @property
    def processes(self) -> int:
        return sum(one.processes for one in self.packages)

    @property
    def releases(self) -> int:
        return sum(one.releases for one in self.packages)


def export_ocds(
    output: Path,
    *,
    industries: Sequence[str] = (),
    prefix: str = PREFIX,
    publisher: str = PUBLISHER,
    base_uri: str = BASE_URI,
    overwrite: bool = False,
    time_limit: dt.timedelta = TIME_LIMIT,
    progress: Progress | None = None,
) -> OcdsReport:
    """Write release packages ``<industry>/<yyyy-mm>.json`` to ``output``, all from one snapshot, or nothing.

    Args:
        industries: codes; empty for all of :data:`OCDS_INDUSTRIES`.
        prefix: the publisher's registered ocid prefix.
        base_uri: of the packages; ``{publication}`` stands for the publication's id.

    Raises:
        UsageError: an industry is no procurement, nothing is published, or ``output`` must not be written to.
        CredentialError, WarehouseUnavailable: the warehouse does not answer, or refuses.
        ExportInterrupted: it ended the export.
    """
    chosen = list(dict.fromkeys(industries)) or list(OCDS_INDUSTRIES)
    if unknown := [code for code in chosen if code not in OCDS_INDUSTRIES]:
        known = ", ".join(f"{code} ({name})" for code, name in OCDS_INDUSTRIES.items())
        raise UsageError(f"--industry {', '.join(unknown)}: no public procurement; the industries are {known}")
    check_output(output, MANIFEST, overwrite=overwrite)
    role = reader(internal=False)
    with snapshot(role, time_limit) as connection:
        publication = publication_of(connection)
        lots = _count(connection, chosen)
        base = base_uri.format(publication=publication.publication_id)
        names = Names(prefix, dict(connection.execute(_DIVISIONS).fetchall()))
        with whole_folder(output, MANIFEST, overwrite=overwrite) as folder:
            packages: list[Package] = []
            left_out: dict[str, int] = {}
            done = 0
            for (industry, month), members in groupby(_lots(connection, chosen), key=_package_of):
                path = f"{industry}/{month}.json"
                (folder / industry).mkdir(exist_ok=True)
                with (folder / path).open("w", encoding="utf-8") as file:
                    written = _write_package(file, f"{base}:{industry}:{month}", publisher, publication, members, names)
                packages.append(Package(path, industry, month, written.processes, written.releases))
                if not written.processes:
                    (folder / path).unlink()
                    packages.pop()
                for why, number in written.left_out.items():
                    left_out[why] = left_out.get(why, 0) + number
                done += written.seen
                if progress:
                    progress(industry, done, lots)
            report = OcdsReport(output.absolute(), publication, str(role), tuple(packages), left_out)
            _write_manifest(folder, report, prefix, publisher)
    return report


@dataclass
class _Written:
    seen: int
    processes: int
    releases: int
    left_out: dict[str, int]


def _write_package(
    file: IO[str],
    uri: str,
    publisher: str,
    publication: Publication,
    lots: Iterator[dict[str, Any]],
    names: Names,
) -> _Written:
    """Write a release package, one release at a time."""
    head = {
        "uri": uri,
        "version": "1.1",
        "publishedDate": publication.published_at.isoformat(timespec="seconds"),
        "publisher": {"name": publisher},
    }
    written = _Written(0, 0, 0, {})
    file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "releases": [')
    for lot in lots:
        written.seen += 1
        made = releases(lot, names)
        if isinstance(made, str):
            written.left_out[made] = written.left_out.get(made, 0) + 1
            continue
        for one in made:
            file.write(("\n" if not written.releases else ",\n") + json.dumps(one, ensure_ascii=False))
            written.releases += 1
        written.processes += 1
    file.write("\n]}\n")
    return written


def _write_manifest(folder: Path, report: OcdsReport, prefix: str, publisher: str) -> None:
    publication = report.publication
    manifest = {
        "publication_id": publication.publication_id,
        "night": publication.night.isoformat(),
        "published_at": publication.published_at.isoformat(timespec="seconds"),
        "missing_nodes": dict(publication.missing_nodes),
        "publisher": publisher,
        "ocid_prefix": prefix,
        "processes": report.processes,
        "releases": report.releases,
        "left_out": dict(report.left_out),
        "packages": [
            {
                "path": one.path,
                "industry": one.industry,
                "month": one.month,
                "processes": one.processes,
                "releases": one.releases,
                "bytes": (folder / one.path).stat().st_size,
                "sha256": sha256_of(folder / one.path),
            }
            for one in report.packages
        ],
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")


def _package_of(lot: Mapping[str, Any]) -> tuple[str, str]:
    return str(lot["industry_code"]), str(lot["month"])


def _count(connection: PgConnection, industries: Sequence[str]) -> int:
    row = connection.execute(
        "select count(*) from marts.fct_transaction where industry_code = any(%s)", (list(industries),)
    ).fetchone()
    return int(row[0]) if row else 0


def _lots(connection: PgConnection, industries: Sequence[str]) -> Iterator[dict[str, Any]]:
    with connection.cursor("ocds_lots", row_factory=dict_row) as cursor:
        cursor.itersize = FETCHED
        cursor.execute(_LOTS, {"industries": list(industries)})
        yield from cursor


_DIVISIONS: LiteralString = """
select region_code, max(division_name) from marts.dim_division where region_code is not null group by region_code
"""

_LOTS: LiteralString = """
select
    l.industry_code,
    coalesce(to_char(l.created_at at time zone 'Asia/Shanghai', 'YYYY-MM'), 'undated') as month,
    l.lot_code, l.project_code, l.deal_code, l.lot_name, l.type_code, t.type_cn, l.notice_at, l.opening_at,
    l.terminated_at, l.settled_at, l.reckon_price_yuan, l.currency_code, l.is_held, l.is_withdrawn,
    l.source_cursor as lot_cursor,
    exists (
        select from marts.fct_transaction as d where d.deal_code = l.deal_code and d.lot_code < l.lot_code
    ) as is_shared,
    p.project_name, p.region_code as project_region_code, p.tenderer_code, p.tenderer_name, p.agency_code,
    p.agency_name, p.tender_mode, p.source_cursor as project_cursor,
    e.events, b.bids, c.contracts
from marts.fct_transaction as l
left join marts.dim_project as p on p.project_code = l.project_code
left join marts.dim_transaction_type as t on t.type_code = l.type_code
left join lateral (
    select jsonb_agg(jsonb_build_object(
        'dataset', e.dataset, 'key', e.record_key, 'stage', e.stage, 'at', e.occurred_at, 'title', e.title,
        'organization', e.organization_code, 'yuan', e.amount_yuan::text, 'is_held', e.is_held,
        'cursor', e.source_cursor
    ) order by e.occurred_at, e.dataset, e.record_key) as events
    from marts.fct_transaction_event as e where e.lot_key = l.lot_code
) as e on true
left join lateral (
    select jsonb_agg(jsonb_build_object(
        'organization', b.bidder_code, 'name', b.bidder_name, 'region_code', b.bidder_region_code,
        'cursor', b.source_cursor
    ) order by b.bidder_code) as bids
    from marts.fct_bid as b where b.lot_code = l.lot_code
) as b on true
left join lateral (
    select jsonb_agg(jsonb_build_object(
        'organization', c.contractor_code, 'name', o.organization_name, 'buyer', c.buyer_code, 'buyer_name',
        n.organization_name, 'title', c.contract_name, 'yuan', c.contract_price_yuan::text, 'is_held', c.is_held,
        'signed_at', c.signed_at, 'term', c.term, 'cursor', c.source_cursor
    ) order by c.contractor_code) as contracts
    from marts.fct_contract as c
    left join marts.dim_organization as o on o.organization_code = c.contractor_code
    left join marts.dim_organization as n on n.organization_code = c.buyer_code
    where c.lot_code = l.lot_code
) as c on true
where l.industry_code = any(%(industries)s)
order by l.industry_code, month, l.lot_code
"""
