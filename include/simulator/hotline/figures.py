"""The hotline's published figures, counted from the books."""

import polars as pl

from simulator.books import Books
from simulator.source import Figures

CUT_OFF = "20240815"


def figures(books: Books, night: int) -> Figures:
    """Experts with a live session up to the cut-off, and the departments they come from."""
    sessions = books.latest("expert_session", night, ["EXPERT_CODE", "SESSION_DATE"])
    seen = sessions.filter(~pl.col("_deleted") & (pl.col("SESSION_DATE").str.slice(0, 8) <= CUT_OFF))
    experts = books.latest("expert", night, ["DEPT_CODE"]).filter(~pl.col("_deleted"))
    departments = experts.join(seen, on="EXPERT_CODE", how="semi")["DEPT_CODE"]
    return {"hotline_experts": seen["EXPERT_CODE"].n_unique(), "hotline_departments": departments.n_unique()}
