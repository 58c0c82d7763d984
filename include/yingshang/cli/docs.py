"""``yingshang docs``: the pages about models, columns, lineage, metrics and dashboards."""

from __future__ import annotations


def command() -> None:
    """Write the dbt docs as one page, with the live slot's catalog if a warehouse answers."""
    from rich.console import Console

    from yingshang.publish.dbt_docs import write_docs

    console = Console(highlight=False, soft_wrap=True)
    with console.status("writing the pages about the models"):
        report = write_docs()
    if report.slot is None:
        console.print(
            f"without a catalog, because {report.why}: the page tells what the project says, not the types, rows and"
            " sizes of tables. Run it beside a warehouse (`make demo`) to have them"
        )
    else:
        console.print(f"with the catalog of the live slot, {report.slot}")
    console.print(report.page.as_uri())
