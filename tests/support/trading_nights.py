"""Nights of trading at random by seed."""

from dataclasses import dataclass
from typing import Any

from tests.support.random_nights import RandomNights
from tests.support.raw_log import Row
from tests.support.trading_raw import KEYS, deal_code, lot_code, project_code

CITY, COUNTY, OTHER_CITY = "210300", "210321", "210200"
NODES = ("210000", CITY, COUNTY, OTHER_CITY)


@dataclass
class Trading(RandomNights):
    """Lots, and all that hangs on them, of four nodes."""

    keys = KEYS
    nodes = dict.fromkeys(KEYS, NODES)

    def version(self, dataset: str, node: str) -> Row:
        pick = self.random.choice
        at = self.cursor()
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
        return {**row, **own[dataset.removeprefix("trading.")]}
