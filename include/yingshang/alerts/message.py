"""One message for all that a run has to say: grouped by kind, the gravest first."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from yingshang.alerts.kinds import KINDS
from yingshang.alerts.model import Finding, FinishedRun
from yingshang.quality.status import LivePublication

SHOWN = 10
"""How many lines of one kind a message has; the rest is counted."""


@dataclass(frozen=True)
class Message:
    """What is said. ``title``: one line."""

    title: str
    body: str


@dataclass(frozen=True)
class News:
    """What there is to say after a run, beside what was said before."""

    fresh: list[Finding] = field(default_factory=list)
    changed: list[Finding] = field(default_factory=list)
    over: list[Finding] = field(default_factory=list)
    same: list[Finding] = field(default_factory=list)

    @property
    def is_any(self) -> bool:
        return bool(self.fresh or self.changed or self.over)


def compose(run: FinishedRun, news: News, published: str) -> Message:
    """The message. ``published``: what readers see now, in a sentence."""
    told = [*news.fresh, *news.changed]
    heads = [f"{KINDS[kind].title.lower()} ({len(group)})" for kind, group in _by_kind(told)]
    heads += [f"{len(news.over)} over"] if news.over else []
    lines = [f"Run {run.run_id} of {run.dag_id} {'failed' if run.has_failed else 'ended well'}. {published}"]
    for kind, group in _by_kind(told):
        changed = set(news.changed)
        lines += ["", KINDS[kind].title]
        lines += [f"- {one.detail}{_since(one)}{' (changed)' if one in changed else ''}" for one in group[:SHOWN]]
        lines += [f"- and {len(group) - SHOWN} more: yingshang alerts --all"] if len(group) > SHOWN else []
        lines += [f"Means: {KINDS[kind].means}.", f"Do: {KINDS[kind].runbook}"]
    if news.over:
        lines += ["", "Over"]
        lines += [f"- {KINDS[one.kind].title}: {one.subject}" for one in news.over[:SHOWN]]
        lines += [f"- and {len(news.over) - SHOWN} more"] if len(news.over) > SHOWN else []
    if news.same:
        counts = ", ".join(f"{KINDS[kind].title.lower()} ({len(group)})" for kind, group in _by_kind(news.same))
        lines += ["", f"Said before and still so: {counts}. All of it: yingshang alerts"]
    failed = f"{run.dag_id} failed: " if run.has_failed else ""
    return Message(f"Yingshang: {failed}{', '.join(heads)}", "\n".join(lines))


def _by_kind(found: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    groups = [(kind, [one for one in found if one.kind == kind]) for kind in KINDS]
    return [(kind, group) for kind, group in groups if group]


def _since(one: Finding) -> str:
    return f" (since {one.since})" if one.since else ""


def published_line(live: LivePublication | None) -> str:
    """What readers see, in a sentence. Times are Asia/Shanghai, as sessions have them."""
    if live is None:
        return "Nothing has been published yet."
    missing = ", ".join(f"{len(nodes)} of {system}" for system, nodes in live.missing_nodes.items() if nodes)
    return (
        f"Readers see night {live.night}, published {live.published_at:%Y-%m-%d %H:%M}"
        f"{f'; missing from it: {missing}' if missing else ''}."
    )
