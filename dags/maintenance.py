"""The weekly Airflow DAG that keeps house."""

from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, get_current_context, task

from yingshang.orchestrate import alerts, arguments, steps

DOC = """
### Housekeeping

Every Sunday at noon (Asia/Shanghai), far from the nights: quarantined rows past their time, landed files of batches
that never came to be, and old builds of past nights go; tables with dead rows are vacuumed. Each step can be repeated
at any time, `yingshang maintenance --dry-run` shows beforehand what is due, and the log of a task says what it did.

| task | what to do when it fails |
| --- | --- |
| any | read its log and clear it; nothing waits for it, and the next week does what is left |
"""

STEPS = {"expire_quarantine": "quarantine", "remove_orphans": "landing", "drop_past_builds": "past nights"}
LAST = {"vacuum_tables": "vacuum"}


@dag(
    schedule=CronTriggerTimetable("0 12 * * 0", timezone="Asia/Shanghai"),
    catchup=False,
    end_date=steps.schedule_until(),
    max_active_runs=1,
    tags=["maintenance"],
    doc_md=DOC,
    params={"dry_run": Param(False, type="boolean", title="Dry run", description="Only say what would be done.")},
    default_args=arguments.task_defaults(execution_hours=3),
    on_failure_callback=alerts.on_failure("what is published is not touched by it"),
)
def maintenance() -> None:
    @task(trigger_rule="all_done")
    def keep(step: str) -> dict[str, Any]:
        return steps.maintain(step, get_current_context()["params"]["dry_run"])

    removals = [keep.override(task_id=name)(step) for name, step in STEPS.items()]
    for name, step in LAST.items():
        removals >> keep.override(task_id=name)(step)


maintenance()
