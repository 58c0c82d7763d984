"""The Airflow DAG that finds what the nights could not see: every week, and by hand for any nodes."""

from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable, Param, TriggerRule, dag, get_current_context, task

from yingshang.orchestrate import alerts, arguments, steps

DOC = """
### Compare with the sources, and repair

Every Saturday at 10:00 (Asia/Shanghai), far from the nights, what is visible of each provision is compared with what
its source has: rows that came too late, that changed without their cursor, or that are gone. Each provision that
differs gets one batch; the landing gate judges it, the next build takes it in. Trigger it by hand for some systems,
nodes or datasets, with `dry_run` to see what it would do: `yingshang reconcile` is the same.

| task | what to do when it fails |
| --- | --- |
| `plan_*` | a parameter names what is not there: read the log, trigger it again |
| `compare_*` | the node does not answer: clear it later. Or too many of its rows are gone: nothing was changed; ask the node, then `yingshang reconcile --accept-deletes` as the log says |
| `landing_gate` | clear it; a refused repair changes nothing, `yingshang gate accept|reject` overrides |
"""  # noqa: E501


@dag(
    schedule=CronTriggerTimetable("0 10 * * 6", timezone="Asia/Shanghai"),
    catchup=False,
    end_date=steps.schedule_until(),
    max_active_runs=1,
    tags=["repair"],
    doc_md=DOC,
    params={
        "systems": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "enum": list(steps.systems())},
            title="Systems",
            description="Empty: all.",
        ),
        "nodes": Param(None, **arguments.CODES, title="Nodes", description="6-digit codes. Empty: all."),
        "datasets": Param(None, **arguments.CODES, title="Datasets", description="Such as lot. Empty: all."),
        "dry_run": Param(False, type="boolean", title="Dry run", description="Compare, and write nothing."),
    },
    default_args=arguments.task_defaults(execution_hours=2),
    on_failure_callback=alerts.on_failure("what could be compared is repaired, the rest stays as it was"),
    on_success_callback=alerts.on_success(),
)
def reconcile() -> None:
    @task(task_id="landing_gate", trigger_rule=TriggerRule.ALL_DONE)
    def landing_gate() -> list[dict[str, Any]]:
        return steps.reconcile_gate(get_current_context()["dag_run"].run_id)

    gate = landing_gate()
    for level in arguments.LEVELS:
        compare_level(level) >> gate


def compare_level(level: str) -> Any:
    """Plan and compare the nodes of one level, in the pool that keeps its sources from being overrun."""

    @task(task_id=f"plan_{level}")
    def plan() -> list[dict[str, Any]]:
        return steps.plan_reconcile(get_current_context()["params"], level)

    @task(
        task_id=f"compare_{level}",
        pool=f"source_{level}",
        outlets=[Asset("yingshang://raw")],
        map_index_template="{{ task.op_kwargs['part']['name'] }}",
    )
    def compare(part: dict[str, Any]) -> dict[str, Any]:
        return steps.reconcile_node(part, get_current_context()["dag_run"].run_id)

    return compare.expand(part=plan())


reconcile()
