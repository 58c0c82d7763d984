"""How much there is of each thing up to the cut-off: the published totals for seed 1, others for other seeds."""

from dataclasses import dataclass

from simulator.source import Context

CUT_OFF = "20230626"
PUBLISHED_SEED = 1


@dataclass(frozen=True)
class Totals:
    """Issues of the first two batches and their outcomes up to 2023-06-26; sums of money in cents.

    ``assigned`` and ``resolved``: per batch. ``later``: issues of the third batch, which no figure counts.
    """

    assigned: tuple[int, int]
    resolved: tuple[int, int]
    debts_cents: int
    commitments: int
    executions: int
    payments_cents: int
    approvals: int
    later: int


PUBLISHED = Totals((5864, 2787), (5657, 2523), 327_900_000_000, 713, 362, 48_400_000_000, 39, 120)
TINY = Totals((203, 97), (196, 88), 11_300_000_000, 25, 13, 1_700_000_000, 5, 12)
HALF_MILLION_YUAN = 50_000_000


def totals(context: Context) -> Totals:
    """The totals of a province. Sums of money are never round; with seed 1 they round to the published ones."""
    base = TINY if context.is_tiny else PUBLISHED
    rng = context.rng("totals")
    odd_debts, odd_payments = (int(cents) for cents in rng.integers(-HALF_MILLION_YUAN + 1, HALF_MILLION_YUAN, 2))
    if context.seed == PUBLISHED_SEED:
        return Totals(
            base.assigned, base.resolved, base.debts_cents + odd_debts, base.commitments, base.executions,
            base.payments_cents + odd_payments, base.approvals, base.later,
        )  # fmt: skip

    def moved(number: int) -> int:
        """A few percent more or less, never the same."""
        step = max(1, round(number * rng.uniform(0.01, 0.05)))
        return number + step * (1 if rng.random() < 0.5 else -1)

    first, second = moved(base.assigned[0]), moved(base.assigned[1])
    rates = [done / all_ * rng.uniform(0.96, 0.995) for done, all_ in zip(base.resolved, base.assigned, strict=True)]
    return Totals(
        (first, second), (round(first * rates[0]), round(second * rates[1])), moved(base.debts_cents) + odd_debts,
        moved(base.commitments), moved(base.executions), moved(base.payments_cents) + odd_payments,
        moved(base.approvals), base.later,
    )  # fmt: skip
