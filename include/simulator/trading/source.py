"""trading as one of the province's systems."""

from datetime import date

import polars as pl

from simulator.books import Books, Night
from simulator.source import Context, Figures, Source
from simulator.trading.history import history
from simulator.trading.nights import next_night
from simulator.trading.schema import TRADING
from simulator.trading.world import world

CUT_OFF = "20240815"


def figures(books: Books, night: int) -> Figures:
    """Known types, and their industries, of live lots created up to the cut-off."""
    lots = books.latest("lot", night, ["CREATE_TIME"])
    known = lots.filter(
        ~pl.col("_deleted") & (pl.col("_type") != "unknown") & (pl.col("CREATE_TIME").str.slice(0, 8) <= CUT_OFF)
    )["_type"]
    return {"transaction_types": known.n_unique(), "transaction_industries": known.str.slice(0, 2).n_unique()}


def _history(context: Context) -> Night:
    return history(world(context.seed, context.scale), context.fleet, context.scale)


def _next_night(context: Context, books: Books, night: date) -> Night:
    return next_night(world(context.seed, context.scale), context.fleet, books, night)


TRADING_SOURCE = Source(TRADING, _history, _next_night, figures)
