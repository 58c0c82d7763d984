"""The publisher: a state machine over two slots, in which readers never see a mixture.

States of a slot (``ops.slot``)::

    empty ─► building ─► built ─► attached ─► audited ─► live ─► idle ─► building ...
                 └────────┴──────────┴──► bad ─► building

Build, gate and publication are separate steps (separate processes in Airflow): each takes the publisher's lock, repairs
what a kill has left, does its part and writes the state. See docs/reference/publication.md.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from psycopg import errors

from yingshang.contracts.registry import Provision, load_registry
from yingshang.errors import AuditFailed, BuildError, PublicationPostponed, UsageError
from yingshang.publish import ledger, serving
from yingshang.publish.model import (
    SLOTS,
    AuditVerdict,
    Build,
    Builder,
    BuildOutcome,
    BuildReport,
    GateReport,
    Kind,
    Limits,
    Plan,
    Publication,
    Slot,
    SlotName,
)
from yingshang.publish.readers import Patience, ReaderGuard
from yingshang.publish.session import Session, brief_transaction, publisher_session
from yingshang.warehouse.access import keep_access
from yingshang.warehouse.rights import saved_rights

log = logging.getLogger(__name__)
SHANGHAI = ZoneInfo("Asia/Shanghai")


class Publisher:
    """Builds, audits and publishes slots.

    Args:
        builder: what builds a slot; default dbt.
        audit: the publish gate; default :func:`yingshang.quality.audit`.
        probe: whether every role sees what it should; default :func:`yingshang.quality.probe`.
        provisions: who owes data of a night; default the registry.
        guard: the waits for readers.
        limits: default from the settings.
        at_step: told of each step before it is taken; for logs (and for tests that break off there).
    """

    def __init__(
        self,
        *,
        builder: Builder | None = None,
        audit: Callable[[int], AuditVerdict] | None = None,
        probe: Callable[[int], AuditVerdict] | None = None,
        provisions: Callable[[dt.date], tuple[Provision, ...]] | None = None,
        guard: ReaderGuard | None = None,
        limits: Limits | None = None,
        at_step: Callable[[str], None] | None = None,
    ) -> None:
        self._builder = builder or _dbt_builder()
        self._audit = audit or _quality_audit
        self._probe = probe or _quality_probe
        self._provisions = provisions or _provisions_of_night
        self._guard = guard or ReaderGuard()
        self._limits = limits or Limits.from_settings()
        self._at_step = at_step or _log_step

    def build(self, night: dt.date, run_id: str | None, full: bool = False) -> BuildReport:
        """Build the idle slot with everything admitted so far and attach it to ``serve``; readers see nothing of it.

        A night older than the published one is not built: its batches are taken in by the next build.

        Raises:
            UsageError: the night has not ended.
            BuildError: dbt failed, or the marts can't be served; the slot is marked bad.
            PublicationPostponed: readers or another publisher stood in the way past the limit.
        """
        start = time.monotonic()
        today = dt.datetime.now(SHANGHAI).date()
        if night >= today:
            raise UsageError(f"night {night} has not ended: in Shanghai it is {today}")
        keep_access()
        with self._entered() as session:
            live = ledger.live(session.conn)
            if live and night < live.night:
                reason = f"night {live.night} is published: what {night} brought is taken in by the next build"
                return BuildReport(None, night, reason=f"nothing to publish: {reason}")
            newer = _waiting_for_a_newer_night(session, night)
            if newer:
                reason = f"build {newer.build_id} of night {newer.night} is about to be published"
                return BuildReport(None, night, reason=f"nothing to publish: {reason}; the next build takes {night} in")
            slot = ledger.slots(session.conn)[live.slot].other if live else SLOTS[0]
            before = ledger.last_success(session.conn, slot)
            self._at_step("plan")
            plan = self._builder.plan(slot, before[0] if before else None)
            _check_rights(plan)
            waited = self._free(session, slot)
            build, why = self._start(session, slot, plan, night, run_id, full)
            outcome = self._run(session, plan, build)
            waited += self._attach(session, plan, build)
            return BuildReport(
                build.build_id, night, slot, build.kind, build.from_seq, build.to_seq, plan.code_version,
                plan.marts, outcome.rebuilt, why, len(outcome.results), round(waited, 3),
                round(time.monotonic() - start, 3),
            )  # fmt: skip

    def audit(self, build_id: int | None) -> GateReport:
        """Run the publish gate on an attached build. ``None`` (nothing was built) passes.

        A build that another run of the night has replaced is stood for by the later one, which contains all of it.

        Raises:
            AuditFailed: something is wrong in the marts; nothing is published.
            UsageError: the build is no longer in its slot, and no later one contains it.
            PublicationPostponed: the build that has replaced it was broken off, or readers or another publisher stood
                in the way past the limit.
        """
        if build_id is None:
            return GateReport(None, passed=True, summary="nothing to audit")
        with self._entered() as session:
            asked, build_id = build_id, _standing_for(session, build_id)
            by = "" if asked == build_id else f": build {build_id}, which contains build {asked}"
            slot = _slot_of(session, build_id, ("attached", "audited", "live"))
            if slot.state == "live":
                return GateReport(build_id, passed=True, summary=f"already published{by}")
            return GateReport(build_id, passed=True, summary=f"{self._pass_gate(session, slot, build_id)}{by}")

    def publish(self, build_id: int | None, run_id: str | None) -> Publication:
        """Make an audited build the one that readers see. Publishing the live build again changes nothing.

        A build that another run of the night has replaced is stood for by the later one, which contains all of it.

        Raises:
            UsageError: the build is no longer in its slot and no later one contains it, or it has not been audited.
            AuditFailed: the later build that stands for it had not been audited yet, and fails the gate.
            PublicationPostponed: the build that has replaced it was broken off, or readers or another publisher stood
                in the way past the limit.
        """
        if build_id is None:
            return Publication(None, "none", None, None, None, 0, None, reason="nothing to publish")
        keep_access()
        with self._entered() as session:
            asked, build_id = build_id, _standing_for(session, build_id)
            if asked != build_id:
                log.info("build %d was replaced by build %d, which contains it", asked, build_id)
            done = ledger.publication_of(session.conn, build_id)
            if done:
                return done
            is_heir = asked != build_id
            slot = _slot_of(session, build_id, ("audited", "attached") if is_heir else ("audited",))
            if slot.state == "attached":
                self._pass_gate(session, slot, build_id)
            if slot.attached_at is None or slot.night is None:
                raise BuildError(f"{slot.slot} is audited but was never attached: build again")
            marts = sorted(serving.served(session.conn))
            foreign = serving.foreign_rows(session.conn, slot.slot, marts, build_id)
            if foreign:
                ledger.set_slot(session.conn, slot.slot, "bad", reason="rows of a foreign build", seq=0)
                raise BuildError(
                    f"{slot.slot}: rows of another build than {build_id} in {', '.join(foreign)}. Nothing was"
                    " published; the next build of the slot is a full one"
                )
            missing = ledger.missing_nodes(session.conn, self._provisions(slot.night), slot.night, slot.seq)
            self._at_step("wait before flip")
            waited = self._guard.before_flip(session.monitor, session.own, self._limits, slot.attached_at)
            self._at_step("flip")
            waited += self._flip(session, slot, marts, run_id, missing)
            self._at_step("flipped")
            published = ledger.publication_of(session.conn, build_id)
            if published is None:
                raise BuildError(f"build {build_id} was published and is not live: another publication followed")
            return _with_wait(published, waited)

    def _pass_gate(self, session: Session, slot: Slot, build_id: int) -> AuditVerdict:
        """Run the gate and write its verdict. Raises AuditFailed."""
        self._at_step("audit")
        verdict = self._audit(build_id)
        if not verdict.passed:
            # What is wrong may be in the rows themselves: they are not built upon, the next build is a full one.
            ledger.set_slot(session.conn, slot.slot, "bad", reason=f"the audit of build {build_id} failed", seq=0)
            raise AuditFailed(
                f"the publish gate stopped build {build_id} (night {slot.night}): {verdict}. Nothing was published,"
                " the last publication stays. See ops.check_result and the Data Docs"
            )
        self._at_step("probe")
        sight = self._probe(build_id)
        if not sight.passed:
            ledger.set_slot(session.conn, slot.slot, "bad", reason=f"the probe of build {build_id} failed")
            raise AuditFailed(
                f"the publish gate stopped build {build_id} (night {slot.night}): {sight}. Nothing was published, the"
                " last publication stays. See ops.check_result, and docs/reference/access.md"
            )
        ledger.set_slot(session.conn, slot.slot, "audited")
        self._at_step("audited")
        return verdict

    def rollback(self, reason: str) -> Publication:
        """Show the publication before the live one again; possible until its slot is built anew.

        The slot that was live is marked bad and built in full next.

        Raises:
            UsageError: there is no complete slot to go back to.
        """
        with self._entered() as session:
            live = ledger.live(session.conn)
            if live is None:
                raise UsageError("nothing has been published, so there is nothing to go back to")
            target = ledger.slots(session.conn)[_other(live.slot)]
            lacking = serving.incomplete(session.conn, target.slot)
            if target.state != "idle" or target.night is None or lacking:
                raise UsageError(
                    f"can't go back: {target.slot} is {target.state}, not the complete publication before this one."
                    " Correct the data or the code and publish a new build instead"
                )
            missing = ledger.missing_nodes(session.conn, self._provisions(target.night), target.night, target.seq)
            self._at_step("rollback")
            with session.conn.transaction():
                ledger.flip(session.conn, "rollback", target, run_id=None, reason=reason, missing_nodes=missing)
                ledger.set_slot(session.conn, live.slot, "bad", reason=f"rolled back: {reason}", seq=0)
            done = ledger.publication_of(session.conn)
            if done is None:
                raise BuildError("the rollback is not live: another publication followed")
            return done

    @contextmanager
    def _entered(self) -> Iterator[Session]:
        """The publisher's session, with what a kill has left repaired."""
        with publisher_session(self._limits) as session:
            for table in serving.finalize_pending(session):
                log.warning("completed the broken-off detach of %s", table)
            live = ledger.live(session.conn)
            for slot in ledger.slots(session.conn).values():
                if (live is None or slot.slot != live.slot) and ledger.close_interrupted(session.conn, slot):
                    log.warning("%s: an earlier build was interrupted", slot.slot)
            yield session

    def _free(self, session: Session, slot: SlotName) -> float:
        """Take the slot from ``serve``: nobody reads it then. Returns the seconds waited for readers."""
        self._at_step("wait before detach")
        waited = 0.0
        attached = [one for one in serving.partitions(session.conn) if one.slot == slot]
        if attached:
            waited += self._guard.before_detach(session.monitor, session.own, self._limits)
        ledger.set_slot(session.conn, slot, "building")
        for one in attached:
            self._at_step(f"detach {one.mart}")
            waited += serving.detach(session, one)
        left = [one.mart for one in serving.partitions(session.conn) if one.slot == slot]
        if left:
            raise BuildError(f"{slot} is still attached to {', '.join(left)}: dbt would change what readers may see")
        return waited

    def _start(
        self, session: Session, slot: SlotName, plan: Plan, night: dt.date, run_id: str | None, full: bool
    ) -> tuple[Build, str | None]:
        """Decide from where to build and write the row that the models read. Returns it, and why it is full."""
        conn = session.conn
        state, before = ledger.slots(conn)[slot], ledger.last_success(conn, slot)
        why = "asked for" if full else plan.needs_full
        if state.seq == 0 or before is None:
            why = why or "there is nothing to build upon"
        elif other := ledger.other_code_since(conn, slot, *before):
            why = why or f"code {other} was tried in it since its last success"
        kind: Kind = "full" if why else "incremental"
        window = (0 if why else state.seq, ledger.last_seq(conn))
        self._at_step("start build")
        build = ledger.start_build(conn, slot, kind, window, night, run_id, plan.code_version)
        log.info(
            "build %d: %s, %s (%s), events %d to %d, night %s",
            build.build_id, slot, kind, why or "on top of what is there", *window, night,
        )  # fmt: skip
        return build, why

    def _run(self, session: Session, plan: Plan, build: Build) -> BuildOutcome:
        self._at_step("build")
        try:
            outcome = self._builder.run(plan, build)
        except BaseException as error:
            ledger.finish_build(session.conn, build, BuildOutcome(error=f"{type(error).__name__}: {error}"))
            raise
        ledger.finish_build(session.conn, build, outcome)
        if outcome.error:
            raise BuildError(f"build {build.build_id} of night {build.night} in {build.slot} failed: {outcome.error}")
        self._at_step("keep")
        self._builder.keep(plan, build)
        return outcome

    def _attach(self, session: Session, plan: Plan, build: Build) -> float:
        self._at_step("attach")
        try:
            waited = serving.attach(session, build.slot, plan.rights)
        except BuildError as error:
            ledger.set_slot(session.conn, build.slot, "bad", reason=str(error))
            raise
        self._at_step("attached")
        ledger.set_attached(session.conn, build.slot)
        self._at_step("state attached")
        return waited

    def _flip(
        self, session: Session, slot: Slot, marts: list[str], run_id: str | None, missing: dict[str, list[str]]
    ) -> float:
        conn = session.conn
        patience = Patience(session.monitor, self._limits, "waiting for readers to extend a view")
        while True:
            try:
                with brief_transaction(conn):
                    lacking = serving.incomplete(conn, slot.slot)
                    if lacking:
                        raise BuildError(f"{slot.slot} is not attached to {', '.join(lacking)}: nothing was published")
                    for statement in serving.outdated_views(conn, saved_rights(conn)):
                        conn.execute(statement)
                    for mart in marts:
                        serving.copy_comments(conn, ("serve", mart), ("marts", mart), "view")
                    previous = ledger.live(conn)
                    ledger.flip(conn, "publish", slot, run_id=run_id, reason=None, missing_nodes=missing)
                    if previous:
                        ledger.set_slot(conn, previous.slot, "idle")
                    self._at_step("commit")
            except errors.LockNotAvailable:
                patience.pause(session.readers_holding_locks())
            else:
                return patience.waited

    def retire(self, mart: str, reason: str) -> None:
        """End a mart: its view and its served table are dropped, for readers and in both slots."""
        with self._entered() as session:
            if mart not in serving.served(session.conn):
                raise UsageError(f"no mart {mart!r} is served")
            session.run_briefly(serving.retirement(mart), f"waiting for readers of {mart} to retire it")
            log.warning("mart %s retired: %s", mart, reason)


def _check_rights(plan: Plan) -> None:
    """No mart is built of which it is not known who may see it."""
    lacking = sorted(set(plan.marts) - set(plan.rights))
    if lacking:
        raise BuildError(
            f"{', '.join(lacking)}: nothing says who may see it. Write sensitivity and division into config.meta of the"
            " model. Nothing was built"
        )


def _standing_for(session: Session, build_id: int) -> int:
    """The build that stands for this one: itself while it is in a slot, else the later one that contains it.

    Two runs of a night at once build in the same idle slot, one after the other. The later build has every event of
    the earlier one, and a night no older: once it is published, or waits to be, the earlier run has nothing left to do.
    """
    slots = ledger.slots(session.conn)
    held = next((slot for slot in slots.values() if slot.build_id == build_id), None)
    if held and held.state == "bad" and held.reason == ledger.INTERRUPTED:
        raise PublicationPostponed(
            f"build {build_id} was taken out of {held.slot} by a later one, which was broken off: its run builds again,"
            " or clear the task `build` of this one"
        )
    succeeded = ledger.succeeded_build(session.conn, build_id)
    if held or succeeded is None:
        return build_id
    for slot in sorted(slots.values(), key=lambda slot: slot.state != "live"):
        contains = slot.seq >= succeeded.to_seq and slot.night is not None and slot.night >= succeeded.night
        if slot.build_id and slot.build_id > build_id and contains and slot.state in ("live", "attached", "audited"):
            return slot.build_id
    return build_id


def _waiting_for_a_newer_night(session: Session, night: dt.date) -> Slot | None:
    """The slot with a build of a later night that is not published yet: a build of ``night`` would end it."""
    for slot in ledger.slots(session.conn).values():
        if slot.state in ("attached", "audited") and slot.night is not None and slot.night > night:
            return slot
    return None


def _slot_of(session: Session, build_id: int, states: tuple[str, ...]) -> Slot:
    for slot in ledger.slots(session.conn).values():
        if slot.build_id == build_id:
            if slot.state in states:
                return slot
            hint = {"attached": "audit it first (`yingshang audit`)", "built": "build again: it was not attached"}
            raise UsageError(
                f"build {build_id} in {slot.slot} is {slot.state}{f' ({slot.reason})' if slot.reason else ''}, not"
                f" {' or '.join(states)}: {hint.get(slot.state, 'build again')}"
            )
    raise UsageError(f"build {build_id} is in no slot any more: a later build has replaced it")


def _other(slot: SlotName) -> SlotName:
    return "slot_b" if slot == "slot_a" else "slot_a"


def _with_wait(publication: Publication, waited: float) -> Publication:
    from dataclasses import replace

    return replace(publication, waited_seconds=round(waited, 3))


def _log_step(step: str) -> None:
    log.info("publisher: %s", step)


def _dbt_builder() -> Builder:
    from yingshang.publish.dbt_runner import DbtBuilder

    return DbtBuilder()


def _quality_audit(build_id: int) -> AuditVerdict:
    from yingshang.quality import audit

    verdict: AuditVerdict = audit(build_id)
    return verdict


def _quality_probe(build_id: int) -> AuditVerdict:
    from yingshang.quality import probe

    verdict: AuditVerdict = probe(build_id)
    return verdict


def _provisions_of_night(night: dt.date) -> tuple[Provision, ...]:
    registry = load_registry()
    return tuple(one for system in registry.systems for one in registry.provisions_of(system, night=night))
