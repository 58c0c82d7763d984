"""The suites in ``expectations/``: Python files, one per dataset (landing) or mart (publish).

A landing file has ``expectations(contract) -> list`` of Great Expectations' expectations on the table of batch
profiles (:mod:`yingshang.quality.profiles`); the part that follows from the contract is added by
:mod:`yingshang.quality.derived`. A publish file has ``MEASURES``, a tuple of :class:`Measure`.
"""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from yingshang.contracts import Contract
from yingshang.errors import UsageError
from yingshang.quality.derived import derived_expectations
from yingshang.settings import settings


@dataclass(frozen=True)
class Measure:
    """A table of figures of one mart, and what is expected of them.

    Attributes:
        name: name of the suite; the mart's own name, or ``<mart>.<aspect>``.
        sql: one set-based query. Its parameters are ``%(slot)s``, ``%(build_id)s``, ``%(to_seq)s`` and ``%(night)s``;
            it reads marts from ``serve.<mart> where _slot = %(slot)s`` and returns counts, sums, rates and codes only,
            never a value of a row that could be personal.
        index: the column that names a row of the result, such as ``node_code``.
        expectations: made when the gate runs, so that reading a suite file is cheap.
    """

    name: str
    sql: str
    index: str
    expectations: Callable[[], list[Any]]


def landing_suites(contracts: dict[str, Contract]) -> dict[str, list[Any]]:
    """The expectations of each of these datasets, derived and written ones together.

    Raises:
        UsageError: a dataset has no suite file, or an expectation has no mark.
    """
    folder = settings().expectations_dir / "landing"
    suites: dict[str, list[Any]] = {}
    for name, contract in contracts.items():
        path = folder / f"{contract.dataset}.py"
        written = _load(path, f"landing.{contract.dataset}").expectations(contract)
        suites[name] = _marked([*derived_expectations(contract), *written], path)
    return suites


def shared_expectations(suites: dict[str, list[Any]]) -> tuple[list[Any], dict[str, list[Any]]]:
    """What all of several datasets are held to alike, and what each is held to beside it.

    Great Expectations takes its time per rule, not per row: a rule that holds for all is evaluated once, on the batches
    of all datasets.
    """
    if len(suites) < 2:
        return [], suites
    named = {name: {_identity(one): one for one in expectations} for name, expectations in suites.items()}
    shared = set.intersection(*(set(of) for of in named.values()))
    own = {name: [one for key, one in of.items() if key not in shared] for name, of in named.items()}
    first = next(iter(named.values()))
    return [one for key, one in first.items() if key in shared], own


def _identity(expectation: Any) -> str:
    plain = expectation.configuration.to_json_dict()
    return json.dumps([plain["type"], plain["kwargs"], plain["meta"]], sort_keys=True)


def publish_measures() -> list[Measure]:
    """All measures of the publish gate, in the order of the files' names."""
    measures: list[Measure] = []
    for path in sorted((settings().expectations_dir / "publish").glob("*.py")):
        measures.extend(_load(path, f"publish.{path.stem}").MEASURES)
    return measures


def marked_expectations(measure: Measure) -> list[Any]:
    """The expectations of a measure, each with its mark. Raises UsageError for one without."""
    return _marked(measure.expectations(), settings().expectations_dir / "publish" / measure.name)


def _marked(expectations: list[Any], path: Path) -> list[Any]:
    for expectation in expectations:
        meta = expectation.meta or {}
        if meta.get("severity") not in ("stop", "warn") or not meta.get("reason"):
            raise UsageError(
                f"{path}: {type(expectation).__name__} is marked neither stop nor warn: "
                "write **stop(reason) or **warn(reason) into it"
            )
    return expectations


def _load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"expectations.{name}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UsageError(f"no suite at {path}: each dataset and mart has one")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
