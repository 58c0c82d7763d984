"""The page about red flags, written from the seeds that decide them.

``python dbt_project/red_flags_reference.py`` writes docs/reference/red-flags.md; a test fails when it is out of date.
"""

import csv
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
PAGE = PROJECT.parent / "docs" / "reference" / "red-flags.md"
COMPARED = {"<": "below", "<=": "up to", ">=": "at least", ">": "above"}
HEAD = """\
# Red flags

`marts.rpt_red_flag` has a row for each hit of a documented indicator of public procurement, with the numbers
that make it one (`reason`, `reason_cn`, `measured`, `threshold`) and the days between which its threshold
holds.

**A red flag is a hint to look at the file, not an accusation (线索，不是结论).** There are honest reasons for each:
one tender for a rare machine, a short period after a first tender failed, a price that had to be the
estimate. Say so wherever you show them.

Identifiers R001 to R073 and their names are those of the Open Contracting Partnership: its guide to red
flags, and its tool Cardinal (cardinal.readthedocs.io), which gives methods and default settings for some.
LN01 and LN02 are this project's own; Chinese names are ours. This page is written by `python
dbt_project/red_flags_reference.py` from the seeds `red_flags` and `red_flag_settings`.

## What is judged

- Lots of engineering and procurement (national classes 01 and 02) that are not withdrawn. Land, mining rights and
  state property are sold to the highest price, which turns the price flags around.
- What is missing is not judged: no deadline, no R003; several awards, no winner; an amount that awaits confirmation
  (`is_held`) is no amount; a tender of which it is not said whether it was rejected leaves R035 and R038 open.
- Days, not hours: many nodes write the day of an event only.
- The threshold is the one in force on `raised_date`, the day of the event that raises the hit. A change of a
  threshold is a new row in `red_flag_settings` with its first day, and the last day of the old one; the next build
  says what follows.
- Thresholds are fixed, where Cardinal takes a fence of quartiles: a hit must not come and go with what other buyers
  do, and it must have a reason that can be told.
- R063 and LN01 count up to the night of the build while there is no notice.
- The marts have no flag on bidders: a bidder belongs to no division, so no role of a city could be given the row.

Articles of law are cited as known to the project, not from an official text: the procuring authority confirms
them before anyone relies on them. Thresholds marked *reconstructed* have no source.

In the simulated province tenders are drawn by chance. How often a flag is hit there says nothing about
Liaoning.

"""


def page() -> str:
    """The whole page."""
    flags, settings = _rows("red_flags"), _rows("red_flag_settings")
    computed = [one for one in flags if one["status"] == "computed"]
    lines = [
        "## Computed",
        "",
        "| id | | measured | a hit | threshold's source | documented in |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for flag in computed:
        for setting in (one for one in settings if one["red_flag_id"] == flag["red_flag_id"]):
            lines.append(
                f"| {flag['red_flag_id']} | {flag['name_en']}<br>{flag['name_cn']} | {flag['definition']} "
                f"| {_hit(flag, setting)} | {setting['provenance']} | {flag['source']} |"
            )
    for status, title in (
        ("not_computed", "Not computed, though the data would do"),
        ("unsupported", "Not supported by the data"),
    ):
        lines += ["", f"## {title}", "", "| id | | why |", "| --- | --- | --- |"]
        lines += [
            f"| {one['red_flag_id']} | {one['name_en']} | {one['why_not']} |"
            for one in flags
            if one["status"] == status
        ]
    return HEAD + "\n".join(lines) + "\n"


def _hit(flag: dict[str, str], setting: dict[str, str]) -> str:
    words = f"{COMPARED[flag['comparison']]} {setting['threshold']} {flag['unit']}"
    if setting["least_cases"] != "1":
        words += f", {setting['least_cases']} lots at least"
    since, until = setting["valid_from"], setting["valid_to"]
    return words + (f", from {since}" if since else "") + (f", before {until}" if until else "")


def _rows(seed: str) -> list[dict[str, str]]:
    with (PROJECT / "seeds" / f"{seed}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} written\n")
