"""Which data tests a night leaves out, because PostgreSQL refuses what they look for."""

from types import SimpleNamespace
from typing import Any

import pytest

from yingshang.publish.dbt_runner import enforced_tests


def manifest(
    test: str,
    columns: list[str],
    *,
    index: list[str],
    unique: bool = True,
    required: tuple[str, ...] = (),
    contract: bool = True,
) -> Any:
    """A mart with an index, and one data test of it."""
    config = SimpleNamespace(contract=SimpleNamespace(enforced=contract))
    config.get = {"indexes": [{"columns": index, "unique": unique}]}.get
    described = {
        name: SimpleNamespace(constraints=[SimpleNamespace(type="not_null")] if name in required else [])
        for name in columns
    }
    mart = SimpleNamespace(resource_type="model", config=config, columns=described)
    of_test = SimpleNamespace(
        resource_type="test",
        name="the_test",
        attached_node="mart",
        column_name=columns[0] if test == "unique" else None,
        test_metadata=SimpleNamespace(name=test, kwargs={"columns": columns}),
    )
    return SimpleNamespace(nodes={"mart": mart, "test": of_test})


@pytest.mark.parametrize(
    ("left_out", "of"),
    [
        (True, manifest("unique", ["a"], index=["a"])),
        (False, manifest("unique", ["a"], index=["a"], unique=False)),
        (False, manifest("unique", ["a"], index=["a", "b"])),
        (True, manifest("unique_combination", ["a", "b"], index=["b", "a"], required=("a", "b"))),
        (False, manifest("unique_combination", ["a", "b"], index=["a", "b"], required=("a",))),
        (False, manifest("unique_combination", ["a", "b"], index=["a", "b"], required=("a", "b"), contract=False)),
        (False, manifest("accepted_values", ["a"], index=["a"], required=("a",))),
    ],
)
def test_only_what_an_index_enforces_is_left_out(left_out: bool, of: Any) -> None:
    """A unique index of the same columns; for a combination none of them empty, which the index would let pass."""
    assert enforced_tests(of) == (("the_test",) if left_out else ())
