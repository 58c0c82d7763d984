"""``yingshang audit``: check the marts of a build before they are published."""

from __future__ import annotations

import typer


def command(
    build: int | None = typer.Argument(None, help="Number of the build; the one attached and not yet live by default."),
    look: bool = typer.Option(False, "--look", help="Only look: leave the state of the slot as it is."),
) -> None:
    """Run the publish gate. Exit code 1 when something is wrong in the marts: nothing is published then."""
    from rich.console import Console

    from yingshang import quality
    from yingshang.errors import AuditFailed

    console = Console()
    build_id = _attached_build() if build is None else build
    if look:
        report = quality.audit(build_id)
        console.print(report, soft_wrap=True)
        if not report.passed:
            raise AuditFailed(f"build {build_id} of {report.slot} must not be published: {report}")
        return
    from yingshang import publish

    console.print(f"build {build_id}: {publish.audit(build_id).summary}", soft_wrap=True)


def _attached_build() -> int:
    from yingshang.errors import UsageError
    from yingshang.quality.status import status

    for slot in status(nights=1).slots:
        if slot.state in ("attached", "audited") and slot.build_id is not None:
            return slot.build_id
    raise UsageError("no build waits for an audit: run `yingshang build --night yyyy-mm-dd` first, or name a build")
