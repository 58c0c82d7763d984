"""Nights of a small province, at random by seed, written straight into raw and the ledger."""

import datetime as dt
import random
from dataclasses import dataclass, field
from typing import Any

from tests.support.trading_raw import FIRST_NIGHT, KEYS, RawLog, deal_code, lot_code, project_code

CITY, COUNTY, OTHER_CITY = "210300", "210321", "210200"
NODES = ("210000", CITY, COUNTY, OTHER_CITY)


def night(number: int) -> dt.date:
    return FIRST_NIGHT + dt.timedelta(days=number)


@dataclass
class Province:
    """Nights of a small province, at random by seed: everything that can become of a record does."""

    log: RawLog
    random: random.Random
    number: int = 0
    live: dict[str, dict[tuple[str, ...], dict[str, Any]]] = field(default_factory=lambda: {name: {} for name in KEYS})
    waiting: list[int] = field(default_factory=list)
    admitted: list[int] = field(default_factory=list)
    drops: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def pass_night(self) -> None:
        """Some records change; some batches are admitted, in any order; some events undo earlier ones."""
        tonight = night(self.number)
        for dataset in KEYS:
            for node in NODES:
                if self.random.random() < (0.9 if self.number == 0 else 0.5):
                    self._deliver(dataset, node, tonight)
        self.random.shuffle(self.waiting)
        kept_back = [one for one in self.waiting if self.random.random() < 0.15]
        chosen = [one for one in self.waiting if one not in kept_back]
        if chosen:
            self.log.say("admitted", *chosen)
        self.admitted += chosen
        self.waiting = kept_back
        if self.number and self.admitted:
            for batch_id in self.random.sample(self.admitted, min(3, len(self.admitted))):
                self.log.say(self.random.choice(["withdrawn", "superseded"]), batch_id)
                if self.random.random() < 0.3:
                    self.log.say("admitted", batch_id)
                else:
                    self.admitted.remove(batch_id)
        self.number += 1

    def _deliver(self, dataset: str, node: str, tonight: dt.date) -> None:
        rows = {}
        for _ in range(self.random.randint(1, 20 if self.number == 0 else 4)):
            row = self._version(dataset, node)
            rows[tuple(row[key] for key in KEYS[dataset])] = row
        self.waiting.append(self.log.batch(dataset, node, rows.values(), night=tonight))

    def _version(self, dataset: str, node: str) -> dict[str, Any]:
        pick = self.random.choice
        at = f"202408{13 + self.number - (self.random.random() < 0.2):02d}{self.random.randint(0, 3):02d}0000"
        project = project_code(node, self.random.randint(1, 6))
        lots = [lot_code(project, self.random.randint(1, 3)) for _ in range(self.random.randint(0, 3))]
        source = pick(["A01", "A06", "B02", "C01", "E01", "E09", "D01", "Z99"])
        code = deal_code(source, pick(["20220505", "20240105"]), self.random.randint(1, 9))
        row = {
            "tender_project_code": project, "unified_deal_code": pick([code, code, code, None]), "data_timestamp": at,
            "is_delete": pick(["0", "F", "0", "F", "0", "1", "T"]), "price_unit": pick(["0", "1"]),
        }  # fmt: skip
        time = pick(["20240105", "20240217093000", "20240630", None])
        price = pick([None, 12.345678, 100, 400_000, 3_000_000_001])
        one, form, firm = lot_code(project, self.random.randint(1, 3)), pick(["1", "1", "2", "9"]), pick("XYZ")
        own: dict[str, dict[str, Any]] = {
            "project": {"create_time": time, "tenderer_code": firm, "tenderer_name": f"{firm} {at}"},
            "lot": {
                "bid_section_code": one, "region_code": pick(NODES), "contract_reckon_price": price,
                "create_time": time,
            },
            "notice": {
                "url": f"http://{node}/{self.random.randint(1, 12)}", "bid_section_codes": ";".join(lots) or None,
                "unified_deal_codes": pick([code, ";".join([code] * len(lots))]), "notice_send_time": time,
                "notice_nature": pick(["1", "1", "1", "2", "3"]), "bulletin_type": pick("1124"),
            },
            "bid": {
                "bid_section_code": one, "bidder_org_code": firm, "bidder_name": f"{firm} {at}",
                "price_form_code": form, "bid_price": price, "checkin_time": time,
                "is_lost": pick(["0", "F", "1", "T"]),
            },
            "result": {
                "bid_section_code": one, "win_bidder_code": firm, "price_form_code": form, "bid_amount": price,
                "notice_send_time": time,
            },
            "contract": {
                "bid_section_code": one, "bidder_code": firm, "tender_code": pick("UVW"), "contract_price": price,
                "contract_sign_time": time,
            },
            "performance": {"bid_section_code": one, "settle_price": price, "finish_time": time},
        }  # fmt: skip
        return {**row, **own[dataset]}
