"""The hotline as one of the province's systems."""

from simulator.hotline.figures import figures
from simulator.hotline.history import history
from simulator.hotline.nights import next_night
from simulator.hotline.schema import HOTLINE
from simulator.source import Source

HOTLINE_SOURCE = Source(HOTLINE, history, next_night, figures)
