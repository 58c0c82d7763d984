"""Great Expectations, held in one place: tables of figures go in, outcomes with stop or warn come out.

Tables are small (a row per batch, node or mart) and hold counts, rates, codes and ids only, so nothing personal can
reach a result or a page. One context per gate serves all its suites; nothing of it talks to a network. Importing Great
Expectations takes seconds, therefore it happens here, when a gate runs, and nowhere else.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from yingshang.quality.marks import Severity

_log = logging.getLogger(__name__)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """One row of the table that breaks an expectation: its index value and what was observed in it."""

    index: Any
    observed: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of one expectation.

    ``failures`` is empty for a failed expectation on the table as a whole, or one that could not be evaluated
    (``error`` says why): such a failure concerns every row.
    """

    suite: str
    expectation: str
    severity: Severity
    reason: str
    is_success: bool
    observed: dict[str, Any]
    failures: tuple[Failure, ...] = ()
    error: str | None = None


@dataclass
class Checks:
    """The checks of one run of a gate, and its pages of Data Docs under ``site``."""

    site: Path
    _context: Any = field(init=False, repr=False)
    _source: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._context = _context(self.site)
        self._source = self._context.data_sources.add_pandas("ledger")

    def validate(
        self, suite: str, rows: Sequence[Row], columns: Sequence[str], expectations: Sequence[Any], index: str
    ) -> list[Outcome]:
        """Validate a table.

        Args:
            suite: its name, also that of its page.
            rows: the table; ``columns`` are its columns in order (a table without rows has columns, too).
            expectations: Great Expectations' expectations, each marked stop or warn.
            index: the column whose values name the rows.
        """
        import great_expectations as gx
        import pandas as pd  # type: ignore[import-untyped]

        definition = self._source.add_dataframe_asset(suite).add_batch_definition_whole_dataframe("now")
        added = self._context.suites.add(gx.ExpectationSuite(name=suite, expectations=list(expectations)))
        validation = self._context.validation_definitions.add(
            gx.ValidationDefinition(name=suite, data=definition, suite=added)
        )
        frame = pd.DataFrame([[row[name] for name in columns] for row in rows], columns=list(columns))
        result = validation.run(
            batch_parameters={"dataframe": frame},
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": [index],
                "return_unexpected_index_query": False,
                "partial_unexpected_count": 20,
            },
        )
        by_index = {row[index]: row for row in rows}
        return [_outcome(suite, item, index, by_index) for item in result.results]

    def publish(self) -> Path:
        """Write the pages of all suites validated so far; returns the site's first page."""
        self._context.build_data_docs()
        return self.site / "index.html"


def _context(site: Path) -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    return gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            data_docs_sites={
                "site": {
                    "class_name": "SiteBuilder",
                    "show_how_to_buttons": False,
                    "store_backend": {
                        "class_name": "TupleFilesystemStoreBackend",
                        "base_directory": str(site.absolute()),
                    },
                    "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                }
            },
        ),
    )


def _outcome(suite: str, item: Any, index: str, rows: Mapping[Any, Row]) -> Outcome:
    config = item.expectation_config
    meta = config.meta
    result = item.to_json_dict()["result"]
    error = _error(item.exception_info)
    columns = [str(config.kwargs[key]) for key in ("column", "column_A", "column_B") if key in config.kwargs] or [
        str(name) for name in config.kwargs.get("column_list", ())
    ]
    failures: tuple[Failure, ...] = ()
    if not item.success and error is None:
        found = [entry[index] for entry in result.get("unexpected_index_list") or ()]
        failures = tuple(
            Failure(value, {name: rows[value].get(name) for name in columns}) for value in dict.fromkeys(found)
        )
    keep = ("element_count", "unexpected_count", "missing_count", "observed_value")
    return Outcome(
        suite=suite,
        expectation=rule_name(config),
        severity=cast(Severity, meta["severity"]),
        reason=str(meta["reason"]),
        is_success=bool(item.success) and error is None,
        observed={key: result[key] for key in keep if key in result},
        failures=failures,
        error=error,
    )


def rule_name(config: Any) -> str:
    """``full_reread_ratio at least 0.6``: readable, and the same every night."""
    names = [str(config.kwargs[key]) for key in ("column", "column_A", "column_B") if key in config.kwargs]
    kind = str(config.type).removeprefix("expect_").removeprefix("column_").removeprefix("pair_")
    kind = kind.removeprefix("values_to_").removeprefix("be_")
    if kind == "between":
        low, high = (config.kwargs.get(key) for key in ("min_value", "max_value"))
        if low == high:
            return f"{names[0]} is {low:g}"
        parts = [f"at least {low:g}"] if low is not None else []
        parts += [f"at most {high:g}"] if high is not None else []
        return f"{names[0]} {' and '.join(parts)}"
    if kind == "equal" and len(names) == 2:
        return f"{names[0]} equals {names[1]}"
    if kind == "null":
        return f"{names[0]} is empty"
    if kind == "in_set":
        return f"{names[0]} in {', '.join(map(str, config.kwargs['value_set']))}"
    skipped = ("column", "column_A", "column_B", "batch_id")
    rest = [
        f"{key}={value}" for key, value in sorted(config.kwargs.items()) if key not in skipped and value is not None
    ]
    return " ".join([*names, kind.replace("_", " "), *rest])


def _error(info: Mapping[str, Any]) -> str | None:
    """The message of an expectation that could not be evaluated; Great Expectations nests these by metric."""
    entries = [info] if "raised_exception" in info else list(info.values())
    messages = {str(entry.get("exception_message")) for entry in entries if entry.get("raised_exception")}
    return "; ".join(sorted(messages)) or None
