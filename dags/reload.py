"""The Airflow DAG that reads nights again: any nodes, datasets and nights, by hand."""

from typing import Any

from airflow.sdk import Asset, Param, TriggerRule, dag, get_current_context, task

from yingshang.orchestrate import alerts, arguments, steps

DOC = """
### Read nights again

Trigger it with a system, a range of nights and, if it is not to be everything, nodes and datasets. `dry_run` is on at
first: the tasks `plan_*` then say in their logs what would be read, and nothing is. Without `replace` what is read is
added: identical rows collapse. With it, what the landing gate admits takes the place of what the same provisions
delivered for the same night before. The next build takes it in.

| task | what to do when it fails |
| --- | --- |
| `plan_*`, `runs` | a parameter names what is not there: read the log, trigger it again |
| `read_*` | the node does not answer or its data is broken: mend it, clear the task; the others are not held up |
| `landing_gate` | clear it; a refused batch replaces nothing, `yingshang gate accept|reject` overrides |
"""


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=2,
    tags=["repair"],
    doc_md=DOC,
    params={
        "system": Param(steps.systems()[0], type="string", enum=list(steps.systems()), title="System"),
        "first": Param(type="string", format="date", title="First night", description="Business date, yyyy-mm-dd."),
        "last": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Last night",
            description="Empty: the first one only.",
        ),
        "nodes": Param(None, **arguments.CODES, title="Nodes", description="6-digit codes. Empty: all."),
        "datasets": Param(None, **arguments.CODES, title="Datasets", description="Such as lot. Empty: all."),
        "replace": Param(False, type="boolean", title="Replace", description="Supersede what was read before."),
        "dry_run": Param(True, type="boolean", title="Dry run", description="Only say what would be read."),
    },
    default_args=arguments.task_defaults(execution_hours=1),
    on_failure_callback=alerts.on_failure("what was read waits for the next build, the rest was not read again"),
)
def reload() -> None:
    @task
    def runs() -> list[str]:
        context = get_current_context()
        return steps.reload_runs(context["params"], context["dag_run"].run_id)

    @task(task_id="landing_gate", trigger_rule=TriggerRule.ALL_DONE, map_index_template="{{ task.op_kwargs['run'] }}")
    def landing_gate(run: str) -> dict[str, Any]:
        return steps.landing_gate(run)

    gates = landing_gate.expand(run=runs())
    for level in arguments.LEVELS:
        read_level(level) >> gates


def read_level(level: str) -> Any:
    """Plan and read the nodes of one level, in the pool that keeps its sources from being overrun."""

    @task(task_id=f"plan_{level}")
    def plan() -> list[dict[str, Any]]:
        context = get_current_context()
        return steps.plan_reload(context["params"], context["dag_run"].run_id, level)

    @task(
        task_id=f"read_{level}",
        pool=f"source_{level}",
        outlets=[Asset("yingshang://raw")],
        map_index_template="{{ task.op_kwargs['part']['name'] }}",
    )
    def read(part: dict[str, Any]) -> dict[str, Any]:
        return steps.reload_node(part)

    return read.expand(part=plan())


reload()
