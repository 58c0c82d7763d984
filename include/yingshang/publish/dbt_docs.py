"""The pages about the models: ``dbt docs`` as one file, for people and for whoever asks what a column means."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from yingshang.errors import CredentialError, WarehouseUnavailable
from yingshang.publish import ledger
from yingshang.publish.dbt_runner import DbtBuilder
from yingshang.publish.model import SlotName
from yingshang.settings import settings
from yingshang.warehouse import connect


@dataclass(frozen=True)
class DocsReport:
    """Where the page is. ``slot`` is the one that its catalog describes; None when there is none, and ``why``."""

    page: Path
    slot: str | None
    why: str | None


def write_docs(*, builder: DbtBuilder | None = None) -> DocsReport:
    """Write ``<state>/docs/index.html``: models, columns, tests, lineage, metrics and exposures.

    With a warehouse that has published something, the page also has the catalog of the live slot: types and rows as
    built. Without one it is made from the project alone.

    Raises:
        BuildError: the project does not parse, or dbt failed.
    """
    slot, why = _live_slot()
    made = (builder or DbtBuilder()).document(slot)
    page = settings().state / "docs" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made, page)
    return DocsReport(page, slot, why)


def _live_slot() -> tuple[SlotName | None, str | None]:
    try:
        with connect("publish") as conn:
            live = ledger.live(conn)
    except (CredentialError, WarehouseUnavailable) as error:
        return None, f"no warehouse answers ({error})"
    return (live.slot, None) if live else (None, "nothing has been published yet")
