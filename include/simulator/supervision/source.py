"""supervision as one of the province's systems."""

from simulator.source import Source
from simulator.supervision.figures import figures
from simulator.supervision.history import history
from simulator.supervision.nights import check, next_night
from simulator.supervision.schema import SUPERVISION

SUPERVISION_SOURCE = Source(SUPERVISION, history, next_night, figures, check)
