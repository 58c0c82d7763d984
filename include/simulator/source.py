"""What a system brings besides its tables: its history, its nights, and the figures counted from its books."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from simulator.books import Books, Night, ProvinceError
from simulator.fleet import Fleet
from simulator.tables import System


@dataclass(frozen=True)
class Request:
    """A change that somebody asked for, to be made by the system in the next night.

    ``what``: a word that the system knows; ``key``: the record; ``at``: event time yyyyMMddHHmmss, or None;
    ``changes``: new values by national column name.
    """

    system: str
    what: str
    key: str
    at: str | None = None
    changes: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Context:
    """What a generator may know.

    ``fleet``: the nodes that run the system, each with its connector and schema there. ``scale`` is 0.002 in the
    ``tiny`` profile. ``requests``: what was asked for tonight, of this system only (none in the history).
    """

    system: System
    seed: int
    scale: float
    profile: str | None
    fleet: Fleet
    requests: tuple[Request, ...] = ()

    @property
    def is_tiny(self) -> bool:
        return self.profile == "tiny"

    def rng(self, *name: object) -> np.random.Generator:
        """A random stream of its own for each use, so that one use does not shift another."""
        return stream(self.seed, self.system.name, *name)


Figures = dict[str, int | Decimal]
"""Figure id -> value: counts and whole yuan as int, rates in percent as Decimal, unrounded."""


def _refuse(books: Books, request: Request) -> None:
    raise ProvinceError(f"{books.system.name} knows no request {request.what!r}")


@dataclass(frozen=True)
class Source:
    """One system with its generator.

    ``history(context)``: everything up to the first night (books.FIRST_NIGHT). ``next_night(context, books, night)``:
    what ``night`` adds, the same at each call, given the books up to the night before; ``books.meta.counters[system]``
    are the numbers that the last Night left. ``figures(books, night)``: the system's published figures, counted from
    the books up to ``night`` (yyyymmdd), each at its own cut-off. ``check(books, request)`` raises ProvinceError when
    it can't do what is asked.
    """

    system: System
    history: Callable[[Context], Night]
    next_night: Callable[[Context, Books, date], Night]
    figures: Callable[[Books, int], Figures]
    check: Callable[[Books, Request], None] = _refuse


def percent(part: int, whole: int) -> Decimal:
    """``part`` of ``whole`` in percent, to 28 significant digits; 0 of 0 is 0."""
    return Decimal(100 * part) / Decimal(whole) if whole else Decimal(0)


def stream(seed: int, *name: Any) -> np.random.Generator:
    """A random stream by name: the same seed and name give the same numbers."""
    return np.random.default_rng([seed, *(zlib.crc32(str(part).encode()) for part in name)])
