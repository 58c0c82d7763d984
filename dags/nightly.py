"""The nightly Airflow DAG: one run = one night, from extraction to publication."""

import datetime as dt
from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable, Param, TriggerRule, dag, get_current_context, task, task_group

from yingshang.orchestrate import alerts, arguments, steps

DOC = """
### One night of Liaoning's business environment

Every night at 01:00 (Asia/Shanghai) the night that has just ended is read from every node, checked, loaded, built in
the idle slot, audited, and published in one step.

| task | what to do when it fails |
| --- | --- |
| `ingest_*` | nothing at first: a node that stays away costs its own provisions only and catches up by itself |
| `close_night` | too few nodes arrived: clear the failed `ingest_*` tasks once the sources are back |
| `landing_gate` | read its log; `yingshang gate accept|reject BATCH --reason ...` overrides it for one batch |
| `build`, `publish_gate` | nothing was published; mend what the message names and clear the task |
| `publish` | readers stood in the way past the time limit: clear the task |
| `announce` | the night is published and stays so; its report is not written: mend what the log names, clear the task |
| `report_unpublished` | skipped when all is well; else it writes the report that says why nothing was published |

A past night is run again with Airflow's backfill, or by triggering this DAG with a `night`. Nothing is doubled: rows
that are the same collapse, and a night older than the newest published one is loaded for the next build to take in.
"""

MARTS = Asset("yingshang://marts")


@dag(
    schedule=CronTriggerTimetable("0 1 * * *", timezone="Asia/Shanghai"),
    catchup=False,  # and no start date: the first scheduled run is the next one, not the last one that was missed
    end_date=steps.schedule_until(),
    max_active_runs=4,
    tags=["nightly", "publication"],
    doc_md=DOC,
    params={
        "night": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Night",
            description="Business date (yyyy-mm-dd). Empty: the Shanghai date that ended before the run.",
        )
    },
    default_args=arguments.task_defaults(execution_hours=1),
    on_failure_callback=alerts.on_failure("nothing was published, the last good night stays"),
    on_success_callback=alerts.on_success(),
)
def nightly() -> None:
    @task
    def open_night() -> dict[str, Any]:
        context = get_current_context()
        run = context["dag_run"]
        night = steps.night_of(run.logical_date, run.run_after, context["params"]["night"])
        return steps.open_night(night, run.run_id)

    opened = open_night()

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def close_night(opened: dict[str, Any]) -> dict[str, Any]:
        return steps.close_night(get_current_context()["dag_run"].run_id)

    @task(task_id="landing_gate")
    def landing_gate() -> dict[str, Any]:
        return steps.landing_gate(get_current_context()["dag_run"].run_id)

    @task(pool="warehouse_build")
    def build(closed: dict[str, Any]) -> dict[str, Any]:
        return steps.build(dt.date.fromisoformat(closed["night"]), get_current_context()["dag_run"].run_id)

    @task(pool="warehouse_build")
    def publish_gate(built: dict[str, Any]) -> dict[str, Any]:
        return steps.publish_gate(built["build_id"])

    @task(pool="warehouse_build", outlets=[MARTS])
    def publish(built: dict[str, Any]) -> dict[str, Any]:
        return steps.publish(built["build_id"], get_current_context()["dag_run"].run_id)

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def announce() -> dict[str, Any]:
        return steps.announce(get_current_context()["dag_run"].run_id)

    # A leaf of its own beside announce: the run stays failed, and its night has a report that says why.
    @task(trigger_rule=TriggerRule.ONE_FAILED)
    def report_unpublished() -> dict[str, Any]:
        return steps.report_unpublished(get_current_context()["dag_run"].run_id)

    closed = close_night(opened)
    for system in steps.systems():
        opened >> ingest_system(system) >> closed
    gated = landing_gate()
    built = build(closed)
    audited = publish_gate(built)
    published = publish(built)
    closed >> gated >> built >> audited >> published >> [announce(), report_unpublished()]


def ingest_system(system: str) -> Any:
    """The task group of one system: one mapped task per node, in a pool per level so that no source is overrun."""

    @task_group(group_id=f"ingest_{system}")
    def group() -> None:
        for level, node_codes in steps.nodes_by_level(system).items():

            @task(
                task_id=level,
                pool=f"source_{level}",
                outlets=[Asset(f"yingshang://raw/{system}")],
                map_index_template="{{ task.op_kwargs['node_code'] }}",
                do_xcom_push=False,  # the ledger has it, and its log; each field would be a call of the API of its own
            )
            def ingest(system: str, node_code: str) -> dict[str, Any]:
                return steps.ingest_node(system, node_code, get_current_context()["dag_run"].run_id)

            ingest.partial(system=system).expand(node_code=node_codes)

    return group()


nightly()
