"""What the children of the fault suite do: steps of a night, as a task of the scheduler calls them."""

import resource


def ingest(node_code: str, run_id: str) -> None:
    """One node of trading."""
    from yingshang.ingest import ingest_node

    ingest_node("trading", node_code, run_id)


def ingest_with_small_files(node_code: str, run_id: str, most_bytes: str) -> None:
    """The same where no file can grow beyond ``most_bytes``: a quota."""
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
    ingest(node_code, run_id)


def reconcile(node_code: str, run_id: str) -> None:
    """Compare one node of trading, and repair it."""
    from yingshang.ingest.reconcile import reconcile_node

    reconcile_node("trading", node_code, run_id)


def gate(run_id: str) -> None:
    """The landing gate."""
    from yingshang.quality import run_landing_gate

    run_landing_gate(run_id)


def publish(night: str, run_id: str) -> None:
    """Build, audit and publish."""
    import datetime as dt

    from tests.support.faults_marts import lot_publisher

    publisher = lot_publisher()
    built = publisher.build(dt.date.fromisoformat(night), run_id)
    publisher.audit(built.build_id)
    publisher.publish(built.build_id, run_id)


def build_killed(night: str, run_id: str) -> None:
    """Build; the process is killed in the middle of it."""
    import datetime as dt
    import os
    import signal

    from tests.support.faults_marts import LotBuilder, lot_publisher

    builder = LotBuilder(during=lambda build: os.kill(os.getpid(), signal.SIGKILL))
    lot_publisher(builder).build(dt.date.fromisoformat(night), run_id)


def publish_until(step: str) -> None:
    """Build, audit and publish small marts; the process is killed when it comes to ``step`` ("dbt": in the build)."""
    import os
    import signal

    from tests.support.publishing import SqlBuilder, cycle, publisher

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def at_step(name: str) -> None:
        if name == step:
            die()

    cycle(publisher(SqlBuilder(during=die if step == "dbt" else None), at_step=at_step))


def ingest_in_memory(node_code: str, run_id: str, most_mb: str) -> None:
    """One node of trading; fails when it has taken more memory than ``most_mb`` beyond what the process had before."""
    before = _peak_mb()
    try:
        ingest(node_code, run_id)
    finally:
        taken = _peak_mb() - before
        if taken > int(most_mb):
            raise MemoryError(f"it took {taken} MB")


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
