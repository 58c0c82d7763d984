"""Source datasets, each described once: by its contract in ``include/contracts/<system>/<dataset>.yaml``."""

from yingshang.contracts.model import Column, Contract, NodeScope
from yingshang.contracts.odcs import Problem, load_contracts, read_contracts

__all__ = ["Column", "Contract", "NodeScope", "Problem", "load_contracts", "read_contracts"]
