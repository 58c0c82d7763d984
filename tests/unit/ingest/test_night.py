"""The verdict on a night: who arrived, who is missing and why."""

import datetime as dt

from yingshang.contracts.registry import Quorum
from yingshang.ingest.night import judge
from yingshang.warehouse.ledger import ProvisionRun

NOW = dt.datetime(2024, 8, 14, 5, tzinfo=dt.UTC)
QUORUM = Quorum("trading", ("210000",), 0.8)


def came(node: str, dataset: str = "lot", outcome: str = "loaded", error: str | None = None) -> ProvisionRun:
    return ProvisionRun("r", "trading", dataset, node, outcome, 1, error, error, None, NOW)  # type: ignore[arg-type]


def test_all_nodes_arrived() -> None:
    verdict = judge("trading", [came("210000"), came("210100"), came("210100", "bid", "nothing_to_send")], QUORUM)
    assert verdict.is_met
    assert (verdict.nodes, verdict.arrived, verdict.share) == (2, 2, 1.0)
    assert not verdict.absent
    assert not verdict.partial


def test_a_fifth_of_the_nodes_may_be_missing_but_not_more() -> None:
    nodes = [came("210000"), *(came(f"2101{n:02d}") for n in range(7))]
    down = [came(f"2102{n:02d}", outcome="failed", error="SourceUnavailable") for n in range(3)]
    assert judge("trading", nodes + down[:2], QUORUM).is_met
    verdict = judge("trading", nodes + down, QUORUM)
    assert not verdict.is_met
    assert verdict.share == 0.7273
    assert verdict.absent["210200"] == {"lot": "failed: SourceUnavailable"}


def test_a_required_node_must_be_there_with_everything() -> None:
    nodes = [came(f"2101{n:02d}") for n in range(50)]
    verdict = judge("trading", [*nodes, came("210000"), came("210000", "bid", "not_provided")], QUORUM)
    assert not verdict.is_met
    assert verdict.required_missing == ("210000",)
    assert verdict.partial == {"210000": {"bid": "not_provided"}}
    assert not verdict.absent
