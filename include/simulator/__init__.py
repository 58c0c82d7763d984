"""A simulated province: 115 governments with databases, APIs and file drops of their own. All its data are synthetic.

It stands alone: it knows nothing of the program that reads it, and writes the truth from its own books.
"""

from simulator.books import ProvinceError
from simulator.province import Province
from simulator.serving import Ports

__all__ = ["Ports", "Province", "ProvinceError"]
