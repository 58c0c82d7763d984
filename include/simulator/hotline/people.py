"""What the province keeps of the hotline: departments, experts, their sessions, and one policy a week."""

from datetime import date

import numpy as np
import polars as pl

from simulator.books import FIRST_NIGHT, Frames, day_of
from simulator.habits import DAY, Ints, day_text, time_text
from simulator.hotline.schema import DEPARTMENT, EXPERT, EXPERT_SESSION, POLICY_WEEK
from simulator.hotline.words import DEPARTMENTS, POLICY_TOPICS, SESSION_TOPICS, SPECIALTIES, callers
from simulator.source import Context
from simulator.versions import booked

EXPERTS, DEPARTMENT_COUNT, SESSIONS = 666, 10, 4_000
TINY_EXPERTS, TINY_SESSIONS = 40, 160
SESSIONS_FROM = day_of(date(2023, 3, 1))
FIRST_WEEK = date(2023, 6, 26)
LAST = day_of(FIRST_NIGHT)


def sizes(context: Context) -> tuple[int, int]:
    """Experts and departments. Only seed 1 has the published numbers."""
    experts = TINY_EXPERTS if context.is_tiny else EXPERTS
    if context.seed == 1:
        return experts, DEPARTMENT_COUNT
    rng = context.rng("sizes")
    return experts + int(rng.integers(1, max(experts // 25, 3))), int(rng.choice([8, 9, 11, 12]))


def people(context: Context) -> Frames:
    """Departments, experts, sessions and weeks up to the first night. Every expert has sat at least once."""
    rng = context.rng("people")
    experts, departments = sizes(context)
    sessions = TINY_SESSIONS if context.is_tiny else SESSIONS
    numbers = np.arange(1, experts + 1)
    starts = rng.integers(SESSIONS_FROM - 400, SESSIONS_FROM, experts)
    frames = {
        "department": booked(
            pl.DataFrame(
                {
                    "DEPT_CODE": [f"D{n:02d}" for n in range(1, departments + 1)],
                    "DEPT_NAME": list(DEPARTMENTS[:departments]),
                    "DATA_TIMESTAMP": _morning(rng, np.full(departments, SESSIONS_FROM - 400)),
                    "_node": [0] * departments,
                }
            ),
            DEPARTMENT,
            FIRST_NIGHT,
        ),
        "expert": booked(expert_frame(context, rng, numbers, numbers % departments + 1, starts), EXPERT, FIRST_NIGHT),
    }
    who = np.concatenate([numbers, rng.choice(numbers, sessions - experts)])
    day = rng.integers(SESSIONS_FROM, LAST + 1, sessions)
    order = np.argsort(day, kind="stable")
    frames["expert_session"] = booked(
        session_frame(rng, np.arange(1, sessions + 1), who[order], day[order], LAST), EXPERT_SESSION, FIRST_NIGHT
    )
    weeks = np.arange(day_of(FIRST_WEEK), LAST + 1, 7)
    frames["policy_week"] = booked(week_frame(rng, weeks, departments, LAST), POLICY_WEEK, FIRST_NIGHT)
    return frames


def expert_frame(
    context: Context, rng: np.random.Generator, number: Ints, department: Ints, start: Ints
) -> pl.DataFrame:
    count = len(number)
    return pl.DataFrame(
        {
            "EXPERT_CODE": [f"E{n:05d}" for n in number],
            "EXPERT_NAME": callers(context.seed).gather(pl.Series(rng.integers(0, 2000, count))),
            "DEPT_CODE": [f"D{n:02d}" for n in department],
            "SPECIALTY": rng.choice(SPECIALTIES, count).tolist(),
            "START_DATE": day_text(start),
            "DATA_TIMESTAMP": _morning(rng, start),
            "_p": pl.Series(number),
            "_node": [0] * count,
        }
    )


def session_frame(rng: np.random.Generator, number: Ints, expert: Ints, day: Ints, last: int) -> pl.DataFrame:
    """Sessions, announced a day before or on the day."""
    count = len(number)
    kind = rng.integers(0, 3, count)
    topic = rng.integers(0, 2, count)
    return pl.DataFrame(
        {
            "SESSION_CODE": [f"S{n:08d}" for n in number],
            "EXPERT_CODE": [f"E{n:05d}" for n in expert],
            "SESSION_DATE": day_text(day),
            "TOPIC": [SESSION_TOPICS[k * 2 + t] for k, t in zip(kind, topic, strict=True)],
            "SESSION_KIND": [str(k + 1) for k in kind],
            "DATA_TIMESTAMP": _morning(rng, np.minimum(day, last)),
            "_p": pl.Series(expert),
            "_node": [0] * count,
        }
    )


def week_frame(rng: np.random.Generator, monday: Ints, departments: int, last: int) -> pl.DataFrame:
    codes, topics = [], rng.choice(POLICY_TOPICS, len(monday)).tolist()
    for day in monday:
        year, week, _ = date.fromordinal(int(day) + date(1970, 1, 1).toordinal()).isocalendar()
        codes.append(f"{year}W{week:02d}")
    return pl.DataFrame(
        {
            "WEEK_CODE": codes,
            "WEEK_START": day_text(monday),
            "TOPIC": topics,
            "INTERPRETATION": [f"{topic}：适用对象、办理条件、所需材料与咨询渠道。" for topic in topics],
            "DEPT_CODE": [f"D{n:02d}" for n in rng.integers(1, departments + 1, len(monday))],
            "DATA_TIMESTAMP": _morning(rng, np.minimum(monday, last)),
            "_node": [0] * len(monday),
        }
    )


def _morning(rng: np.random.Generator, day: Ints) -> pl.Series:
    return time_text(day * DAY + rng.integers(8 * 3600, 12 * 3600, len(day)))
