"""A public mart reads nothing, on whatever way, that a contract keeps from the public."""

from types import SimpleNamespace
from typing import Any

import pytest

from yingshang.errors import BuildError
from yingshang.publish import dbt_runner


def manifest(
    contract: str | None, *, sensitivity: str = "public", between: str = "model", folder: str = "inner"
) -> Any:
    """A mart on a model (or snapshot) on staging on a source of a contract."""
    said = SimpleNamespace(enabled=True, materialized="table", meta={"sensitivity": sensitivity, "division": "none"})

    def node(name: str, kind: str, place: str, *reads: str) -> Any:
        return SimpleNamespace(
            unique_id=name, name=name, alias=name, resource_type=kind, fqn=["yingshang", place], columns={},
            config=said, depends_on=SimpleNamespace(nodes=list(reads)),
        )  # fmt: skip

    nodes = [
        node("mart", "model", "marts", "between"),
        node("between", between, folder, "staging"),
        node("staging", "model", "staging", "source"),
    ]
    meta = {"contract": contract} if contract else {}
    source = SimpleNamespace(source_name="raw", name="rows", config=SimpleNamespace(meta=meta), meta=meta)
    return SimpleNamespace(nodes={one.unique_id: one for one in nodes}, sources={"source": source})


@pytest.mark.parametrize("between", ["model", "snapshot"])
@pytest.mark.parametrize(
    "contract",
    [
        "supervision.issue",
        "supervision.issue_event",  # personal, and the rest internal
        "hotline.work_order",
        "a.contract_that_is_not_there",
    ],
)
def test_a_public_mart_on_what_is_not_for_everybody_is_not_built(contract: str, between: str) -> None:
    with pytest.raises(BuildError, match=r"mart mart is public, but reads raw\.rows, which is internal"):
        dbt_runner._marts(manifest(contract, between=between))


@pytest.mark.parametrize(
    "allowed",
    [
        manifest("trading.lot"),
        manifest("trading.bid"),  # personal: its persons become tokens, the rest is public
        manifest(None),  # the ledger
        manifest("hotline.work_order", sensitivity="internal"),
        manifest("hotline.work_order", folder="context"),  # it chooses keys and shows nothing
    ],
)
def test_others_are(allowed: Any) -> None:
    assert list(dbt_runner._marts(allowed)) == ["mart"]
