"""The published figures of the sunshine services, counted from the books."""

import polars as pl

from simulator.books import Books
from simulator.source import Figures, percent
from simulator.sunshine.sizes import CUT_OFF, LAST_COUNTED_MONTH
from simulator.versions import present_lazily

YEAR = int(CUT_OFF[:4])


def figures(books: Books, night: int) -> Figures:
    """Everything up to the cut-off; counts per month for the months that had ended by it."""
    ended = pl.col("STAT_MONTH") <= LAST_COUNTED_MONTH
    users = _sums(books, night, "registration", ["NEW_USERS"], ended)
    people, satisfied = _sums(books, night, "evaluation", ["PARTICIPANTS", "SATISFIED"], ended)
    petitions = [
        sum(_sums(books, night, "petition", ["COMPLAINTS", "REPORTS"], _january_to_may(year)))
        for year in (YEAR - 1, YEAR)
    ]
    published = pl.col("PUBLISH_TIME").str.slice(0, 8) <= CUT_OFF
    counted = (
        present_lazily(books, "disclosure", ["PUBLISH_TIME", "IS_WITHDRAWN"], night, ~pl.col("_deleted") & published)
        .select(
            shown=pl.col("IS_WITHDRAWN").is_in(["0", "F"]).sum(),
            villages=pl.col("DISCLOSURE_ID").str.slice(0, 12).n_unique(),
        )
        .collect(engine="streaming")
    )
    return {
        "sunshine_users": users[0],
        "sunshine_disclosures": int(counted["shown"][0]),
        "petition_change": percent(petitions[1] - petitions[0], petitions[0]),
        "public_issues_resolved": _solved(books, night, "1"),
        "potential_issues_resolved": _solved(books, night, "2"),
        "evaluation_participants": people,
        "evaluation_satisfaction": percent(satisfied, people),
        "villages_covered": int(counted["villages"][0]),
    }


def _january_to_may(year: int) -> pl.Expr:
    return pl.col("STAT_MONTH").is_between(pl.lit(f"{year}01"), pl.lit(f"{year}05"))


def _sums(books: Books, night: int, dataset: str, names: list[str], where: pl.Expr) -> list[int]:
    rows = present_lazily(books, dataset, names, night, ~pl.col("_deleted") & where)
    found = rows.select(*(pl.col(name).cast(pl.Int64).sum() for name in names)).collect(engine="streaming")
    return [int(found[name][0]) for name in names]


def _solved(books: Books, night: int, kind: str) -> int:
    solved = pl.col("RESOLVE_TIME").str.slice(0, 8) <= CUT_OFF
    where = ~pl.col("_deleted") & (pl.col("PROBLEM_KIND") == kind) & solved
    rows = present_lazily(books, "tracked_problem", ["PROBLEM_KIND", "RESOLVE_TIME"], night, where)
    return int(rows.select(pl.len()).collect(engine="streaming").item())
