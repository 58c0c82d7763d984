"""The kinds of alerts: what each is called, what it means for readers, and which runbook says what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

STAYS = "nothing new is published; readers keep the last good night"


@dataclass(frozen=True)
class Kind:
    """One kind. ``name`` is also its page: ``docs/runbooks/<name>.md``. ``stops_the_night``: nothing was published."""

    name: str
    title: str
    means: str
    stops_the_night: bool = False

    @property
    def runbook(self) -> str:
        return f"docs/runbooks/{self.name}.md"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("run-failed", "Run failed", "what the run had not done yet was not done; readers keep what they see"),
        Kind("quorum-not-met", "Too few nodes arrived", STAYS, stops_the_night=True),
        Kind("build-failed", "Build failed", STAYS, stops_the_night=True),
        Kind("publish-gate-failed", "Publish gate failed", STAYS, stops_the_night=True),
        Kind(
            "publication-postponed",
            "Publication postponed",
            "the night is built and checked but not shown; readers keep the last good night",
            stops_the_night=True,
        ),
        Kind(
            "landing-gate-failed",
            "Landing gate refused batches",
            "the night is published without these batches; readers see what was published of them before",
        ),
        Kind(
            "mass-delete",
            "Mass deletion held back",
            "nothing was deleted: readers go on seeing the rows that the source no longer has, until a person decides",
        ),
        Kind(
            "credentials-refused",
            "Login, certificate or host key refused",
            "nothing is read from these nodes and no retry will help; readers see their last data",
        ),
        Kind(
            "delivery-refused",
            "Deliveries that break their contract",
            "nothing of these deliveries loads and no retry will help; readers see the last data of these provisions",
        ),
        Kind(
            "disk-full",
            "No space left, or the landing zone cannot be written",
            "what could not be stored was not loaded; the next run reads it again",
        ),
        Kind(
            "program-fault",
            "Fault of the program",
            "these provisions did not load; readers see their last data",
        ),
        Kind(
            "node-silent",
            "Nodes silent beyond their cadence",
            "the nights are published without them; readers see their last data, and are told who is missing",
        ),
        Kind(
            "drift",
            "Columns that are not those of the contract",
            "the rows load; a column that is missing is empty in the marts from now on, one that is new is not read",
        ),
    )
}
"""By name, the gravest first: the order in which a message tells them."""
