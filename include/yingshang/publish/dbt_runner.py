"""dbt as the builder of slots: in-process, one call per build, a manifest per slot to know which models have changed.

Each slot has its own target and target folder under ``<state>/dbt/<slot>``, and there the manifest of its last build
that succeeded, named by the build's id. The ledger knows which build that was; a manifest that is lost, or another
build's, means a full build and nothing worse. A schema of a past night has a folder of its own as well, and no kept
manifest: it is never built upon.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from yingshang import secrets
from yingshang.contracts import Contract, load_contracts
from yingshang.errors import BuildError, CredentialError
from yingshang.publish.dbt_log import dbt_log, without_values
from yingshang.publish.model import SLOTS, Build, BuildOutcome, Check, NodeResult, Plan, SlotName
from yingshang.settings import settings
from yingshang.warehouse.rights import MartRights, read_rights

log = logging.getLogger(__name__)

CONNECTION = "warehouse_transform"
MARTS_FOLDER, CONTEXT_FOLDER = "marts", "context"
SERVABLE = ("table", "incremental")
MODIFIED = "state:modified+"
REBUILD_VARIABLE = "YINGSHANG_DBT_REBUILD"
SCHEMA_VARIABLE = "YINGSHANG_DBT_SCHEMA"
TLS_KEYWORDS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl")
"""What a connection says of TLS reaches dbt's driver through libpq's own variables: PGSSLMODE ..."""
PAST_TARGET = "as_of"
FAILED = ("error", "fail", "runtime error")
MESSAGE_LENGTH = 2000
SHOWN_FAILURES = 5


class DbtBuilder:
    """Builds a slot with ``dbt build``: what has not changed incrementally, what has changed in full.

    Args:
        project: folder of the dbt project and its profiles; default the installation's.
        state: folder for targets and manifests; default ``<state>/dbt``.
    """

    def __init__(self, project: Path | None = None, state: Path | None = None) -> None:
        self._project = project or settings().dbt_dir
        self._state = state or settings().state / "dbt"
        self._manifest: Any = None

    def plan(self, slot: SlotName, last_success: int | None) -> Plan:
        """Parse the project: which marts there are, and which code this is.

        Raises:
            BuildError: the project does not parse, or a mart can't be served.
        """
        self._manifest = None
        self._manifest = self._invoke(slot, ["parse"]).result
        rights = _marts(self._manifest)
        needs_full = None
        if last_success is not None and not self._kept(slot, last_success).is_file():
            needs_full = f"the manifest of build {last_success} is not here"
        return Plan(tuple(rights), _code_version(self._manifest), needs_full, rights)

    def run(self, plan: Plan, build: Build) -> BuildOutcome:
        """Build. Failures of nodes are in the outcome's error; nothing is raised for them."""
        slot = build.slot
        if build.kind == "full":
            return self._build(slot, ["--full-refresh"], rebuilt=("everything",))
        changed = self._changed(build)
        if changed:
            log.info("%s: rebuilt in full, because they or what they read have changed: %s", slot, ", ".join(changed))
        names = {node.name for node in self._manifest.nodes.values() if node.resource_type == "seed"}
        seeds = [] if names & set(changed) else ["--exclude-resource-type", "seed"]
        return self._build(slot, seeds, rebuilt=changed)

    def plan_past(self, schema: str) -> Plan:
        """As :meth:`plan`, for a schema of its own."""
        self._manifest = None
        self._manifest = self._invoke(schema, ["parse"]).result
        rights = _marts(self._manifest)
        return Plan(tuple(rights), _code_version(self._manifest), rights=rights)

    def run_past(self, schema: str) -> BuildOutcome:
        """Build everything in a schema of its own, from nothing.

        Without data tests: the night was tested when it was published, and a rule that is newer must not hide it.
        """
        return self._build(schema, ["--full-refresh", "--exclude-resource-type", "test"], rebuilt=("everything",))

    def forget(self, schema: str) -> None:
        """Remove the folder of a schema that is no slot."""
        if schema in SLOTS:
            raise ValueError(f"{schema} is a slot")
        shutil.rmtree(self._folder(schema), ignore_errors=True)

    def document(self, slot: SlotName | None) -> Path:
        """The pages about the project as one file; with the catalog of a slot, or with None without a database.

        Raises:
            BuildError: the project does not parse, or dbt failed.
        """
        self._manifest = None
        is_offline, folder = slot is None, "docs" if slot is None else f"docs_{slot}"
        target = slot or SLOTS[0]
        self._invoke(folder, ["parse"], is_offline=is_offline, target=target)
        alone = ["--no-compile", "--empty-catalog", "--no-populate-cache"] if is_offline else []
        self._invoke(folder, ["docs", "generate", "--static", *alone], is_offline=is_offline, target=target)
        return self._folder(folder) / "target" / "static_index.html"

    def keep(self, plan: Plan, build: Build) -> None:
        """Keep the manifest under the build's id, and no other one of the slot."""
        folder = self._folder(build.slot) / "last"
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{os.getpid()}.partial"
        shutil.copyfile(self._folder(build.slot) / "target" / "manifest.json", partial)
        kept = self._kept(build.slot, build.build_id)
        partial.replace(kept)
        for old in folder.iterdir():
            if old != kept:
                old.unlink()

    def _changed(self, build: Build) -> tuple[str, ...]:
        """Models and seeds that have changed since the slot's last success, with all that depends on them."""
        slot, compare = build.slot, self._folder(build.slot) / "compare"
        compare.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(next((self._folder(slot) / "last").glob("*.json")), compare / "manifest.json")
        listed = self._invoke(
            slot,
            [
                *("list", "--select", MODIFIED, "--state", str(compare)),
                *("--output", "name", "--resource-type", "model", "--resource-type", "seed"),
            ],
        )
        return tuple(sorted(listed.result or ()))

    def _build(self, schema: str, arguments: Sequence[str], rebuilt: tuple[str, ...]) -> BuildOutcome:
        """``dbt build`` of everything; ``rebuilt`` is handed to the macro ``should_full_refresh``."""
        # Unit tests are about the code, not about a night: CI runs them.
        enforced = enforced_tests(self._manifest)
        without = ["--exclude", *enforced] if enforced else []
        answer = self._call(
            schema,
            ["build", *arguments, "--exclude-resource-type", "unit_test", *without],
            {REBUILD_VARIABLE: " ".join(rebuilt)},
        )
        results = _results(answer)
        error = None
        if answer.exception is not None:
            error = _one_line(answer.exception)
        elif not answer.success:
            error = _failures(results)
        return BuildOutcome(results, error, rebuilt)

    def _invoke(
        self, schema: str, arguments: Sequence[str], *, is_offline: bool = False, target: str | None = None
    ) -> Any:
        """Call dbt. Raises BuildError if it does not succeed."""
        answer = self._call(schema, arguments, is_offline=is_offline, target=target)
        if answer.exception is not None or not answer.success:
            raise BuildError(f"dbt {arguments[0]} of {self._project} failed: {_one_line(answer.exception)}")
        return answer

    def _call(
        self,
        schema: str,
        arguments: Sequence[str],
        variables: Mapping[str, str] | None = None,
        *,
        is_offline: bool = False,
        target: str | None = None,
    ) -> Any:
        from dbt.cli.main import dbtRunner  # 3 s to import

        folder = self._folder(schema)
        target = target or (schema if schema in SLOTS else PAST_TARGET)
        common = [
            *("--project-dir", str(self._project), "--profiles-dir", str(self._project), "--target", target),
            *("--target-path", str(folder / "target"), "--log-path", str(folder / "logs")),
        ]
        # Its own console and file would quote rows: the callback writes the file.
        silent = ["--log-level", "none", "--log-level-file", "none"]
        quiet = ["--quiet", *silent, "--no-use-colors", "--no-send-anonymous-usage-stats", "--no-version-check"]
        profile = {} if is_offline else _profile_variables()
        own = profile | _registry_variables(self._project) | {SCHEMA_VARIABLE: schema}
        with _environment(own | dict(variables or {})), dbt_log(folder / "logs") as write:
            answer = dbtRunner(manifest=self._manifest, callbacks=[write]).invoke([*quiet, *arguments, *common])
        (folder / "target" / "run_results.json").unlink(missing_ok=True)  # ops.dbt_result has it, without values
        return answer

    def _folder(self, schema: str) -> Path:
        return self._state / schema

    def _kept(self, slot: SlotName, build_id: int) -> Path:
        return self._folder(slot) / "last" / f"{build_id}.json"


def _marts(manifest: Any) -> dict[str, MartRights]:
    """All models under models/marts by the names of their tables, in order, with who may see them."""
    found, wrong, contracts = {}, [], load_contracts()
    for node in manifest.nodes.values():
        if node.resource_type == "model" and node.fqn[1:2] == [MARTS_FOLDER] and node.config.enabled:
            columns = {name: dict(column.config.meta or column.meta) for name, column in node.columns.items()}
            found[node.alias] = read_rights(node.alias, node.config.meta, columns)
            inner = found[node.alias].sensitivity == "public" and _internal_source(manifest, node.unique_id, contracts)
            if inner:
                raise BuildError(f"mart {node.alias} is public, but reads {inner}, which is internal by its contract")
            if node.config.materialized not in SERVABLE:
                wrong.append(f"{node.name} ({node.config.materialized})")
    if wrong:
        raise BuildError(f"only tables can be served; these marts are none: {', '.join(sorted(wrong))}")
    if not found:
        raise BuildError("the dbt project has no models under models/marts: there is nothing to publish")
    return dict(sorted(found.items()))


def _internal_source(manifest: Any, unique_id: str, contracts: Mapping[str, Contract]) -> str | None:
    """A source that a model reads, on whatever way, of which not everybody may see what lands, by its contract.

    Context models are no such way: they choose batches and keys, and show no row of a source.
    """
    waiting, seen = [unique_id], set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        source = manifest.sources.get(one)
        name = source and source.config.meta.get("contract", source.meta.get("contract"))
        if name and not (name in contracts and contracts[name].is_public):
            return f"{source.source_name}.{source.name}"
        node = manifest.nodes.get(one)
        if node is not None and node.resource_type in ("model", "snapshot") and node.fqn[1:2] != [CONTEXT_FOLDER]:
            waiting += node.depends_on.nodes
    return None


def enforced_tests(manifest: Any) -> tuple[str, ...]:
    """Names of the data tests that say again what a unique index of their table already enforces.

    PostgreSQL refuses the second row when the model writes it, and the build fails there: to count all rows of all
    marts once more each night would find nothing. `dbt build` by hand and CI run these tests too. A combination whose
    columns may be empty is tested, since the index takes empty values for different ones.
    """
    found = []
    for test in manifest.nodes.values():
        metadata_of_test = getattr(test, "test_metadata", None)
        model = manifest.nodes.get(getattr(test, "attached_node", None) or "")
        if test.resource_type != "test" or metadata_of_test is None or model is None:
            continue
        if metadata_of_test.name == "unique":
            columns, required = {test.column_name}, set()
        elif metadata_of_test.name == "unique_combination":
            columns = required = set(metadata_of_test.kwargs["columns"])
        else:
            continue
        unique = [set(one["columns"]) for one in model.config.get("indexes") or () if one.get("unique")]
        if columns in unique and required <= _not_null(model):
            found.append(test.name)
    return tuple(sorted(found))


def _not_null(model: Any) -> set[str]:
    """Columns that the contract of a model keeps from being empty."""
    if not model.config.contract.enforced:
        return set()
    return {name for name, one in model.columns.items() if any(rule.type == "not_null" for rule in one.constraints)}


def _code_version(manifest: Any) -> str:
    """Package version and a digest of everything in the project that shapes the data."""
    parts: list[object] = []
    for name, node in manifest.nodes.items():
        if node.resource_type in ("model", "seed", "snapshot"):
            types = {key: column.data_type for key, column in node.columns.items()}
            parts.append([name, node.checksum.checksum, node.unrendered_config, types])
    project = manifest.metadata.project_name
    parts += [[name, one.macro_sql] for name, one in manifest.macros.items() if one.package_name == project]
    text = json.dumps(sorted(parts, key=str), sort_keys=True, default=str)
    return f"{metadata.version('yingshang')}+{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _results(answer: Any) -> tuple[NodeResult, ...]:
    return tuple(_node_result(one) for one in getattr(answer.result, "results", ()))


def _node_result(one: Any) -> NodeResult:
    node, status = one.node, str(one.status)
    rows = one.adapter_response.get("rows_affected")
    return NodeResult(
        node_id=getattr(node, "unique_id", "hook"),
        resource_type=str(getattr(node, "resource_type", "operation")),
        status=status,
        seconds=float(one.execution_time),
        rows_affected=int(rows) if isinstance(rows, int) and rows >= 0 else None,
        message=_shortened(one.message),
        check=_check(node, status) if str(getattr(node, "resource_type", "")) == "test" else None,
    )


def _check(node: Any, status: str) -> Check:
    """A data test as a check: error severity stops the build, warn severity does not."""
    attached = getattr(node, "attached_node", None) or node.unique_id
    return Check(
        suite=str(attached).split(".")[-1] if getattr(node, "attached_node", None) else node.name,
        expectation=node.name,
        severity="warn" if str(node.config.severity).lower() == "warn" else "stop",
        is_success=status == "pass",
    )


def _failures(results: Iterable[NodeResult]) -> str:
    failed = [one for one in results if one.status in FAILED]
    shown = [f"{one.node_id.split('.', 1)[-1]}: {one.message or one.status}" for one in failed[:SHOWN_FAILURES]]
    if len(failed) > SHOWN_FAILURES:
        shown.append(f"and {len(failed) - SHOWN_FAILURES} more, see ops.dbt_result")
    skipped = sum(one.status == "skipped" for one in results)
    if skipped:
        shown.append(f"{skipped} nodes skipped because of it")
    return "; ".join(shown) or "dbt did not say what failed: see its log"


def _one_line(error: BaseException | None) -> str:
    return _shortened(error) or "dbt did not say why: see its log"


def _shortened(message: object) -> str | None:
    return " ".join(without_values(str(message)).split())[:MESSAGE_LENGTH] if message else None


def _profile_variables() -> dict[str, str]:
    """What dbt_project/profiles.yml reads. Sessions end soon after their client, and never wait for locks forever."""
    known = secrets.connection(CONNECTION)
    if not known.host or not known.path.lstrip("/"):
        raise CredentialError(
            f"connection {CONNECTION!r} must name host and database: postgresql://user:pw@host:port/db"
        )
    limit = int(settings().publish_wait_seconds * 1000)
    return {
        **{f"PG{key.upper()}": value for key, value in known.query.items() if key in TLS_KEYWORDS},
        "YINGSHANG_DBT_HOST": known.host,
        "YINGSHANG_DBT_PORT": str(known.port or 5432),
        "YINGSHANG_DBT_USER": known.login,
        "YINGSHANG_DBT_PASSWORD": known.password,
        "YINGSHANG_DBT_DBNAME": known.path.lstrip("/"),
        "PGOPTIONS": f"-c client_connection_check_interval=1s -c lock_timeout={limit} -c timezone=Asia/Shanghai",
    }


def _registry_variables(project: Path) -> dict[str, str]:
    """An installation's own registry reaches dbt through a link: dbt takes seeds from folders of its project only."""
    registry, links = settings().registry_dir, project / "registries"
    if registry == settings().home / "include" / "registry" or not links.is_dir():
        return {}
    for link in links.iterdir():
        if link.is_symlink() and not link.exists():  # its installation is gone
            link.unlink(missing_ok=True)
    name = hashlib.sha256(str(registry.resolve()).encode()).hexdigest()[:12]
    with contextlib.suppress(FileExistsError):
        (links / name).symlink_to(registry.resolve(), target_is_directory=True)
    return {"YINGSHANG_DBT_REGISTRY": name}


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """These environment variables for a while; dbt has no other way in for them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
