"""Reading contracts: Open Data Contract Standard v3.1 YAML, nothing unknown and nothing ignored.

Three nets, from the general to our own: the models of the standard with unknown keys forbidden at every
level, the JSON schema of the standard (types and options), and the rules of this project (:mod:`.rules`).
Every problem names the file and the path in it, with names instead of positions.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yingshang.contracts.model import Contract
from yingshang.errors import ContractError
from yingshang.settings import settings

if TYPE_CHECKING:
    from jsonschema.protocols import Validator


_TEAM_FORMS = ("Team", "list[TeamMember]")
"""What pydantic puts into a path below ``team``, which has two forms in the standard."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in one file."""

    file: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.path}: {self.message}" if self.path else f"{self.file}: {self.message}"


def load_contracts(root: Path | None = None) -> dict[str, Contract]:
    """All contracts under ``root`` (default: the project's), by name, in order of name.

    Raises:
        ContractError: one line for every problem of every file.
    """
    contracts, problems = read_contracts(root)
    if problems:
        raise ContractError("\n".join(str(problem) for problem in problems))
    return contracts


def read_contracts(root: Path | None = None) -> tuple[dict[str, Contract], list[Problem]]:
    """The valid contracts under ``root`` and the problems of the others."""
    root = root or settings().contracts_dir
    files = sorted(root.glob("*/*.yaml"))
    if not files:
        return {}, [Problem(str(root), "", "no contract (<system>/<dataset>.yaml) in this folder")]
    contracts: dict[str, Contract] = {}
    problems: list[Problem] = [
        Problem(str(stray), "", "a contract is named <system>/<dataset>.yaml")
        for stray in sorted({*root.rglob("*.y*ml")} - {*files})
    ]
    tables: dict[tuple[str, str], str] = {}
    for file in files:
        stat = file.stat()
        contract, found = _read(file, stat.st_mtime_ns, stat.st_size)
        problems += found
        if contract is None:
            continue
        other = tables.setdefault((contract.system, contract.table), contract.name)
        if other != contract.name:
            problems.append(Problem(_shown(file), "schema", f"table {contract.table} is already that of {other}"))
        contracts[contract.name] = contract
    return contracts, problems


@lru_cache(maxsize=512)
def _read(file: Path, _mtime: int, _size: int) -> tuple[Contract | None, tuple[Problem, ...]]:
    """Contract of one file, or its problems. Kept while the file does not change."""
    from yingshang.contracts import rules

    shown = _shown(file)
    try:
        document = _parse(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        return None, (Problem(shown, "", " ".join(str(error).split())),)
    found = dict(_standard_problems(document))
    if not found:
        found = dict(_schema_problems(document))
    problems = [Problem(shown, path, message) for path, message in found.items()]
    if problems:
        return None, tuple(problems)
    contract, messages = rules.contract_of(document, system=file.parent.name, dataset=file.stem)
    return contract, tuple(Problem(shown, path, message) for path, message in messages)


def _parse(text: str) -> dict[str, Any]:
    """YAML with duplicate keys refused (YAML libraries keep the last one in silence)."""
    import yaml

    class Loader(yaml.CSafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            seen: set[Any] = set()
            for key_node, _ in node.value:
                key = key_node.value
                if key in seen:
                    raise ValueError(f"line {key_node.start_mark.line + 1}: the key {key!r} stands here twice")
                seen.add(key)
            return super().construct_mapping(node, deep)

    try:
        document = yaml.load(text, Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("not a mapping")  # noqa: TRY004 - one kind of error for one file
    return document


def _standard_problems(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from open_data_contract_standard.model import OpenDataContractStandard
    from pydantic import ValidationError

    try:
        OpenDataContractStandard.model_validate(document, extra="forbid")
    except ValidationError as error:
        for one in error.errors(include_url=False):
            location = [step for step in one["loc"] if step not in _TEAM_FORMS]
            if one["type"] == "extra_forbidden":
                yield _path(document, location), "unknown key"
            elif one["loc"][-1] not in _TEAM_FORMS:  # the other form of a team; a wrong one fails the schema, too
                yield _path(document, location), one["msg"]


def _schema_problems(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for error in _validator().iter_errors(document):
        yield _path(document, list(error.absolute_path)), error.message[:200]


@cache
def _validator() -> Validator:
    from jsonschema import Draft201909Validator

    schema = resources.files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    return Draft201909Validator(_without_unevaluated(json.loads(schema)))


def _without_unevaluated(schema: Any) -> Any:
    """The schema without its own search for unknown keys, most of its time: the models have refused these before."""
    if isinstance(schema, dict):
        return {key: _without_unevaluated(one) for key, one in schema.items() if key != "unevaluatedProperties"}
    return [_without_unevaluated(one) for one in schema] if isinstance(schema, list) else schema


def _path(document: Any, location: Sequence[int | str] | Iterable[int | str]) -> str:
    """A path in a document, list items shown by their name where they have one."""
    parts: list[str] = []
    here = document
    for step in location:
        if isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
            name = here.get("name", here.get("property")) if isinstance(here, dict) else None
            parts[-1:] = [f"{parts[-1] if parts else ''}[{name if name else step}]"]
        else:
            here = here.get(step) if isinstance(here, dict) else None
            parts.append(str(step))
    return ".".join(parts)


def _shown(file: Path) -> str:
    home = settings().home
    return str(file.relative_to(home)) if file.is_relative_to(home) else str(file)
