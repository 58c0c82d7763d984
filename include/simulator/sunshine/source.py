"""The sunshine services as one of the province's systems."""

from datetime import date

from simulator.books import Books, Night, NightPlan
from simulator.source import Context, Source
from simulator.sunshine.disclosures import disclosure_history, disclosure_night
from simulator.sunshine.figures import figures
from simulator.sunshine.months import monthly_history, monthly_night
from simulator.sunshine.problems import problem_history, problem_night
from simulator.sunshine.schema import SUNSHINE


def history(context: Context) -> Night:
    """Everything before and at the first night."""
    problems, number = problem_history(context)
    frames = {"disclosure": disclosure_history(context), "tracked_problem": problems, **monthly_history(context)}
    return Night(frames, {}, {}, NightPlan(), {"problem": number})


def next_night(context: Context, books: Books, night: date) -> Night:
    """All that happens in ``night``. Nothing that a figure counts at its cut-off moves."""
    number = books.meta.counters[context.system.name]["problem"]
    name = night.isoformat()
    problems, number = problem_night(context, books, context.rng("night", "problems", name), night, number)
    frames = {
        "disclosure": disclosure_night(context, books, context.rng("night", "disclosures", name), night),
        "tracked_problem": problems,
        **monthly_night(context, books, context.rng("night", "months", name), night),
    }
    return Night(frames, {}, {}, NightPlan(), {"problem": number})


SUNSHINE_SOURCE = Source(SUNSHINE, history, next_night, figures)
