"""The systems of the province, each with its generator. One line adds a system."""

from simulator.hotline.source import HOTLINE_SOURCE
from simulator.source import Source
from simulator.sunshine.source import SUNSHINE_SOURCE
from simulator.supervision.source import SUPERVISION_SOURCE
from simulator.trading.source import TRADING_SOURCE

SOURCES: tuple[Source, ...] = (TRADING_SOURCE, SUPERVISION_SOURCE, HOTLINE_SOURCE, SUNSHINE_SOURCE)
