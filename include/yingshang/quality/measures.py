"""What the publish gate measures of every mart: rows, builds, keys and batches, and its rows beside raw's.

A suite in ``expectations/publish`` says what is its own: the key, further figures, and what is expected of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from yingshang.quality.marks import expectations_module, stop
from yingshang.quality.rules import none, same
from yingshang.quality.suites import Measure

# The names put into these queries are those of the project's own suites; values are parameters.
_OTHER_BUILD = "_build_id <> %(build_id)s"
_OTHER_BUILD_OF_SLOT = """_build_id > %(build_id)s or _build_id not in (
        select build_id from ops.build where schema_name = %(slot)s
    )"""
_HIDDEN = "source_batch_id not in (select batch_id from visible_at_seq)"
_WHOLE = """
select
    'all' as part,
    {figures}
from serve.{mart}
where _slot = %(slot)s
"""
_DISTINCT = "(select count(*) from (select distinct {columns} from serve.{mart} where _slot = %(slot)s) keys)"
_BY_NODE = """
with mart as (
    select {node}, {mart_sums}
    from serve.{mart}
    where _slot = %(slot)s
    group by 1
),
source as (
    select node_code, {source_sums}
    from live_{source}
    group by node_code
)
select node_code, {sums}
from mart
full join source using (node_code)
order by node_code
"""
_AGAINST_RAW = """
select
    'all' as part,
    (select count(*) from serve.{mart} where _slot = %(slot)s) as mart_rows,
    (select count(*) from live_{source}) as source_rows
"""


def of_mart(
    mart: str,
    *,
    key: str | tuple[str, ...] | None,
    figures: str = "",
    expectations: Callable[[], list[Any]] = list,
    least_rows: int = 0,
    from_batches: bool = False,
    is_kept: bool = False,
) -> Measure:
    """The measure ``<mart>``: one row of figures of the whole mart.

    Rows of a fact are of any build of its slot up to the audited one, those of other marts of that build.

    Args:
        mart: the mart.
        key: column or columns of which no two rows have the same; None where a unique index holds it and counting
            millions of keys again would cost seconds.
        figures: further columns of the query, SQL.
        expectations: what is expected of them.
        least_rows: fewer rows are a truncated mart; 0 for one that may be empty.
        from_batches: its rows name the batch they come from (``source_batch_id``), which must be visible.
        is_kept: it is no fact, and yet incremental: rows that nothing touched keep the build that wrote them.
    """
    other = _OTHER_BUILD_OF_SLOT if is_kept or mart.startswith("fct_") else _OTHER_BUILD
    columns = ["count(*) as rows", f"count(*) filter (where {other}) as rows_of_another_build"]
    if key is not None:
        columns.append(f"count(*) - {_distinct(mart, key)} as duplicate_keys")
    if from_batches:
        columns.append(f"count(*) filter (where {_HIDDEN}) as rows_of_hidden_batches")
    if figures:
        columns.append(figures.strip())

    def rules() -> list[Any]:
        found = [none("rows_of_another_build", "every row is of the audited build, a fact's of a build of its slot")]
        if least_rows:
            truncated = stop("an empty or truncated mart is not published")
            between = expectations_module().ExpectColumnValuesToBeBetween
            found.append(between(column="rows", min_value=least_rows, **truncated))
        if key is not None:
            found.append(none("duplicate_keys", "one row per key"))
        if from_batches:
            found.append(none("rows_of_hidden_batches", "no row comes from a batch that is not admitted"))
        return [*found, *expectations()]

    return Measure(mart, _WHOLE.format(mart=mart, figures=",\n    ".join(columns)), "part", rules)


def by_node(mart: str, dataset: str, expected: Mapping[str, str], *, node: str = "node_code", **sums: str) -> Measure:
    """The measure ``<mart>.by_node``: rows, and sums, equal those of the live records in raw, node by node.

    Args:
        mart: the mart.
        dataset: ``<system>.<dataset>`` whose live records it holds.
        expected: ``rows`` and the names of ``sums``, each with the reason why both are equal.
        node: the mart's column that names the delivering node.
        sums: name -> SQL of a sum, the same over the mart and over the live records.
    """
    every = {"rows": "count(*)", **sums}
    assert every.keys() == expected.keys(), f"{mart}: a reason for each of {', '.join(every)}"  # noqa: S101 - a suite's own
    return Measure(
        f"{mart}.by_node",
        _BY_NODE.format(
            mart=mart,
            source=dataset.replace(".", "__"),
            node=node if node == "node_code" else f"{node} as node_code",
            mart_sums=", ".join(f"{sql} as mart_{name}" for name, sql in every.items()),
            source_sums=", ".join(f"{sql} as source_{name}" for name, sql in every.items()),
            sums=", ".join(
                f"coalesce({side}_{name}, 0) as {side}_{name}" for name in every for side in ("mart", "source")
            ),
        ),
        "node_code",
        lambda: [same(f"mart_{name}", f"source_{name}", reason) for name, reason in expected.items()],
    )


def against_raw(mart: str, dataset: str, reason: str) -> Measure:
    """The measure ``<mart>.source``: as many rows as live records of the dataset in raw."""
    return Measure(
        f"{mart}.source",
        _AGAINST_RAW.format(mart=mart, source=dataset.replace(".", "__")),
        "part",
        lambda: [same("mart_rows", "source_rows", reason)],
    )


def _distinct(mart: str, key: str | tuple[str, ...]) -> str:
    if isinstance(key, str):
        return f"count(distinct {key})"
    return _DISTINCT.format(columns=", ".join(key), mart=mart)
