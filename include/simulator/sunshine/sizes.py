"""How much there is: the villages, and the totals of each seed at the cut-off of the published figures."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from simulator.fleet import TINY_CITIES, TINY_COUNTIES, all_nodes, read_csv
from simulator.habits import Ints
from simulator.source import Context

CUT_OFF = "20230626"
LAST_COUNTED_MONTH = "202305"
TINY_VILLAGES = 200
GROWTH = 0.01


@dataclass(frozen=True)
class Villages:
    """12-digit codes in order, the node index of the city of each, and how large each is (shares of all)."""

    code: pl.Series
    node: Ints
    share: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.node)


@dataclass(frozen=True)
class Totals:
    """What the published figures count at the cut-off: users, participants and disclosures, petitions of January to
    May of 2022 and of 2023, problems resolved; ``dissatisfied``: share of the participants."""

    users: int
    participants: int
    dissatisfied: float
    petitions_before: int
    petitions_after: int
    public_problems: int
    potential_problems: int
    disclosures: int


PUBLISHED = Totals(8_713_482, 6_618_943, 0.0005, 41_386, 21_438, 34_127, 207_388, 3_684_217)


def totals(context: Context) -> Totals:
    """Seed 1 has what was published (disclosures by scale); other seeds a few percent more or less."""
    known = PUBLISHED
    part = TINY_VILLAGES / village_count() if context.is_tiny else 1.0
    rng = context.rng("totals")

    def sized(value: int, scale: float = 1.0) -> int:
        jitter = float(rng.uniform(0.01, 0.04)) * (1 if rng.random() < 0.5 else -1)
        return round(value * scale * (1.0 if context.seed == 1 else 1 + jitter))

    disclosures = sized(known.disclosures, TINY_VILLAGES / village_count() / 20 if context.is_tiny else context.scale)
    return Totals(
        users=sized(known.users, part),
        participants=sized(known.participants, part),
        dissatisfied=known.dissatisfied if context.seed == 1 else float(rng.uniform(0.0003, 0.0007)),
        petitions_before=sized(known.petitions_before, part),
        petitions_after=sized(known.petitions_after, part),
        public_problems=sized(known.public_problems, part),
        potential_problems=sized(known.potential_problems, part),
        disclosures=max(disclosures, 2 * len(villages(context.seed, tiny=context.is_tiny))),
    )


def village_count() -> int:
    return len(_codes())


@lru_cache(maxsize=4)
def villages(seed: int, *, tiny: bool) -> Villages:
    """All villages and communities, or 200 in the counties of the ``tiny`` profile."""
    codes = _codes()
    if tiny:
        inside = [code for code in codes if code[:6] in TINY_COUNTIES and f"{code[:4]}00" in TINY_CITIES]
        codes = tuple(inside[i * len(inside) // TINY_VILLAGES] for i in range(TINY_VILLAGES))
    place = {node.code: node.index for node in all_nodes()}
    size = np.exp(np.random.default_rng([seed, 7]).normal(0, 0.6, len(codes)))
    return Villages(pl.Series(codes), np.array([place[f"{code[:4]}00"] for code in codes]), size / size.sum())


@lru_cache(maxsize=1)
def _codes() -> tuple[str, ...]:
    return tuple(sorted(row["code"] for row in read_csv("villages.csv")))
