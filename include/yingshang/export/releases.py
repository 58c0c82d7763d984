"""The releases of one lot, from what the marts say of it. Pure: no database, no file."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

Lot = Mapping[str, Any]
Json = dict[str, Any]

SHANGHAI = ZoneInfo("Asia/Shanghai")
SCHEME = "CN-SAIC"
"""Register of China's unified social credit codes in the list of org-id.guide."""
USCC = re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}")
TYPE_SCHEME = "x_LN-DEAL-TYPE"
CURRENCIES = {"156": "CNY", "CNY": "CNY"}
METHODS = {"1": ("open", "公开招标 open"), "2": ("selective", "邀请招标 by invitation")}
GOODS, WORKS, SERVICES = "goods", "works", "services"
CATEGORIES = {"0107": GOODS, "0201": GOODS, "0202": WORKS, "0203": SERVICES}
INDUSTRY_CATEGORIES = {"01": WORKS, "10": GOODS}
DOCUMENT_TYPES = {
    "notice": "tenderNotice",
    "clarification": "clarifications",
    "opening": "x_bidOpening",
    "terminated": "x_terminationNotice",
    "result": "awardNotice",
    "contract": "contractNotice",
    "performance": "completionCertificate",
}
AWARD_STAGES, CONTRACT_STAGES, DONE_STAGES = ("result",), ("contract",), ("performance",)


@dataclass(frozen=True)
class Names:
    """What all lots share. ``divisions``: 6-digit code -> name."""

    prefix: str
    divisions: Mapping[str, str]


def releases(lot: Lot, names: Names) -> list[Json] | str:
    """The releases of a lot in the order of its stages, or why it has none.

    Args:
        lot: a row of the query of :mod:`yingshang.export.ocds`.
    """
    if not lot["deal_code"] or "#" in lot["deal_code"]:
        return "without a usable unified deal code"
    if lot["is_shared"]:
        return "with the unified deal code of another lot"
    if lot["currency_code"] and lot["currency_code"] not in CURRENCIES:
        return "in a currency other than the yuan"
    return _Process(lot, names).releases()


class _Process:
    """One contracting process: the lot with its notices, bids, awards and contracts."""

    def __init__(self, lot: Lot, names: Names) -> None:
        self.lot, self.names = lot, names
        self.events: Sequence[Json] = lot["events"] or ()
        self.bids: Sequence[Json] = lot["bids"] or ()
        self.contracts: Sequence[Json] = lot["contracts"] or ()
        self.results = [one for one in self.events if one["dataset"] == "result"]
        self.performances = [one for one in self.events if one["dataset"] == "performance"]
        self.notices = [one for one in self.events if one["dataset"] == "notice"]
        self.parties = self._parties()

    def releases(self) -> list[Json]:
        made = [self._tender()]
        if self.results:
            made.append(self._award())
        if self.contracts:
            made.append(self._contract())
        if self.performances and self.contracts:
            made.append(self._implementation())
        return made

    def _tender(self) -> Json:
        lot = self.lot
        stages = (*AWARD_STAGES, *CONTRACT_STAGES, *DONE_STAGES)
        notices = [one for one in self.notices if one["stage"] not in stages]
        cursors = [lot["lot_cursor"], lot["project_cursor"], *(one["cursor"] for one in notices)]
        mode = METHODS.get(lot["tender_mode"] or "")
        tender = {
            "id": lot["lot_code"],
            "title": lot["lot_name"],
            "description": lot["project_name"],
            "status": self._status(),
            "procuringEntity": self._reference("procuringEntity"),
            "items": [
                _filled(
                    {
                        "id": "1",
                        "description": lot["type_cn"],
                        "classification": _filled(
                            {"scheme": TYPE_SCHEME, "id": lot["type_code"], "description": lot["type_cn"]}
                        ),
                    }
                )
            ],
            "value": _value(lot["reckon_price_yuan"], is_held=lot["is_held"]),
            "procurementMethod": mode[0] if mode else None,
            "procurementMethodDetails": mode[1] if mode else None,
            "mainProcurementCategory": CATEGORIES.get(lot["type_code"])
            or INDUSTRY_CATEGORIES.get(lot["industry_code"]),
            "tenderPeriod": self._tender_period(),
            "documents": _documents(notices),
            "amendments": [
                _filled({"id": f"{number}", "date": _time(one["at"]), "description": one["title"]})
                for number, one in enumerate((n for n in notices if n["stage"] == "clarification"), 1)
            ],
        }
        tag = "tenderCancellation" if self._status() in ("cancelled", "withdrawn") else "tender"
        return self._release("tender", tag, cursors, ("buyer", "procuringEntity"), tender=_filled(tender))

    def _award(self) -> Json:
        cursors = [one["cursor"] for one in (*self.results, *self._notices(AWARD_STAGES), *self.bids)]
        tender = _filled(
            {
                "id": self.lot["lot_code"],
                "status": self._status(),
                "numberOfTenderers": len(self.bids) or None,
                "tenderers": [_reference(one["organization"], one["name"]) for one in self.bids],
            }
        )
        awards = [self._award_to(one["organization"]) for one in self.results]
        awards[0] |= _filled({"documents": _documents(self._notices(AWARD_STAGES))})
        return self._release("award", "award", cursors, ("buyer", "tenderer", "supplier"), tender=tender, awards=awards)

    def _contract(self) -> Json:
        cursors = [one["cursor"] for one in (*self.contracts, *self._notices(CONTRACT_STAGES))]
        contracts = [self._contract_with(one) for one in self.contracts]
        contracts[0] |= _filled({"documents": _documents(self._notices(CONTRACT_STAGES))})
        awarded = {one["organization"] for one in self.results}
        implied = [self._award_to(one["organization"]) for one in self.contracts if one["organization"] not in awarded]
        more = {"awards": implied} if implied else {}
        return self._release("contract", "contract", cursors, ("buyer", "supplier"), contracts=contracts, **more)

    def _implementation(self) -> Json:
        cursors = [one["cursor"] for one in (*self.performances, *self._notices(DONE_STAGES))]
        first = self.contracts[0]["organization"]
        documents = _filled({"documents": _documents(self._notices(DONE_STAGES))})
        contracts = [
            {
                "id": self._contract_id(one["organization"]),
                "awardID": self._award_id(one["organization"]),
                "status": "terminated",
                **({"implementation": documents} if documents and one["organization"] == first else {}),
            }
            for one in self.contracts
        ]
        return self._release("implementation", "implementation", cursors, (), contracts=contracts)

    def _release(
        self, stage: str, tag: str, cursors: Iterable[str | None], roles: tuple[str, ...], **parts: Any
    ) -> Json:
        newest = max((cursor for cursor in cursors if cursor), default=self.lot["lot_cursor"])
        parties = [one for one in self.parties.values() if set(roles) & set(one["roles"])]
        buyer = self._reference("buyer")
        return {
            "ocid": f"{self.names.prefix}-{self.lot['deal_code']}",
            "id": f"{self.lot['deal_code']}-{stage}-{newest}",
            "date": _from_cursor(newest),
            "tag": [tag],
            "initiationType": "tender",
            "language": "zh",
            **({"parties": parties} if parties else {}),
            **({"buyer": buyer} if buyer and "buyer" in roles else {}),
            **parts,
        }

    def _status(self) -> str:
        if self.lot["terminated_at"]:
            return "cancelled"
        if self.lot["is_withdrawn"]:
            return "withdrawn"
        return "complete" if self.results or self.contracts else "active"

    def _tender_period(self) -> Json | None:
        start, end = self.lot["notice_at"], self.lot["opening_at"]
        if start and end and end < start:
            end = None
        return _filled({"startDate": _time(start), "endDate": _time(end)}) or None

    def _award_to(self, organization: str) -> Json:
        result = next((one for one in self.results if one["organization"] == organization), None)
        name = self.parties[_party_id(organization)]["name"] if _party_id(organization) in self.parties else None
        award = {
            "id": self._award_id(organization),
            "status": "active",
            "date": _time(result["at"]) if result else None,
            "value": _value(result["yuan"], is_held=result["is_held"]) if result else None,
            "suppliers": [_reference(organization, name)],
        }
        return _filled(award)

    def _contract_with(self, one: Json) -> Json:
        days = int(one["term"]) if one["term"] and re.fullmatch(r"\d{1,5}", one["term"]) else None
        contract = {
            "id": self._contract_id(one["organization"]),
            "awardID": self._award_id(one["organization"]),
            "title": one["title"],
            "status": "terminated" if self.performances else "active",
            "value": _value(one["yuan"], is_held=one["is_held"]),
            "dateSigned": _time(one["signed_at"]),
            "period": _filled({"startDate": _time(one["signed_at"]), "durationInDays": days}) if days else None,
        }
        return _filled(contract)

    def _award_id(self, organization: str) -> str:
        return f"{self.lot['lot_code']}-{organization}"

    def _contract_id(self, organization: str) -> str:
        return f"{self.lot['lot_code']}-{organization}-contract"

    def _notices(self, stages: tuple[str, ...]) -> list[Json]:
        return [one for one in self.notices if one["stage"] in stages]

    def _reference(self, role: str) -> Json | None:
        found = next((one for one in self.parties.values() if role in one["roles"]), None)
        return _filled({"id": found["id"], "name": found.get("name")}) if found else None

    def _parties(self) -> dict[str, Json]:
        """All organisations of the process, each once, with all of its roles in each release."""
        lot, found = self.lot, dict[str, Json]()

        def add(code: str | None, name: str | None, role: str, region: str | None = None) -> None:
            if not code:
                return
            key = _party_id(code)
            party = found.setdefault(key, {"id": key, "name": None, "roles": []})
            party["name"] = party["name"] or name
            if USCC.fullmatch(code):
                party["identifier"] = _filled({"scheme": SCHEME, "id": code, "legalName": party["name"]})
            if role not in party["roles"]:
                party["roles"].append(role)
            place = self.names.divisions.get(region or "")
            if place:
                party["address"] = {"region": place, "countryName": "中国"}

        add(lot["tenderer_code"], lot["tenderer_name"], "buyer", lot["project_region_code"])
        if not lot["tenderer_code"]:
            for one in self.contracts:
                add(one["buyer"], one["buyer_name"], "buyer")
        if lot["agency_code"]:
            add(lot["agency_code"], lot["agency_name"], "procuringEntity")
        else:
            add(lot["tenderer_code"], lot["tenderer_name"], "procuringEntity", lot["project_region_code"])
        for one in self.bids if self.results else ():
            add(one["organization"], one["name"], "tenderer", one["region_code"])
        for one in self.results:
            add(one["organization"], one["title"], "supplier")
        for one in self.contracts:
            add(one["organization"], one["name"], "supplier")
        return {key: _filled(party) for key, party in found.items()}


def _party_id(code: str) -> str:
    return f"{SCHEME}-{code}" if USCC.fullmatch(code) else code


def _reference(code: str, name: str | None) -> Json:
    return _filled({"id": _party_id(code), "name": name})


def _documents(notices: Iterable[Json]) -> list[Json]:
    return [
        _filled(
            {
                "id": one["key"],
                "documentType": DOCUMENT_TYPES.get(one["stage"], "x_notice"),
                "title": one["title"],
                "url": one["key"] if str(one["key"]).startswith(("http://", "https://")) else None,
                "datePublished": _time(one["at"]),
                "language": "zh",
            }
        )
        for one in notices
    ]


def _value(yuan: Decimal | str | None, *, is_held: bool) -> Json | None:
    """An amount in yuan; none for one that awaits confirmation. Exact to the fen: a float holds it below 10^13 yuan."""
    return {"amount": float(yuan), "currency": "CNY"} if yuan is not None and not is_held else None


def _time(at: dt.datetime | str | None) -> str | None:
    """ISO 8601 with Shanghai's offset."""
    if at is None:
        return None
    moment = dt.datetime.fromisoformat(at) if isinstance(at, str) else at
    return moment.astimezone(SHANGHAI).isoformat(timespec="seconds")


def _from_cursor(stamp: str) -> str:
    """``yyyyMMddHHmmss`` Asia/Shanghai as ISO 8601."""
    return dt.datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=SHANGHAI).isoformat()


def _filled(value: Json) -> Json:
    """Without what is not known: OCDS leaves it out."""
    return {key: one for key, one in value.items() if one not in (None, "", [], {})}
