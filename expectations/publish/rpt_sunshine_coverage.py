"""rpt_sunshine_coverage: five levels, each of which adds up to what the facts hold."""

# Keys are not counted here: the mart's unique index holds them, and a count of half a million would cost seconds.
from yingshang.quality.measures import of_mart
from yingshang.quality.rules import none, same
from yingshang.quality.suites import Measure

BY_LEVEL = """
with levels as (
    select
        division_level,
        sum(disclosures + withdrawn_disclosures)::bigint as level_disclosures,
        sum(participants)::bigint as level_participants,
        sum(satisfied)::bigint as level_satisfied,
        sum(petitions)::bigint as level_petitions,
        sum(new_users)::bigint as level_users,
        sum(problems_opened)::bigint as level_problems,
        sum(problems_resolved)::bigint as level_resolved
    from serve.rpt_sunshine_coverage
    where _slot = %(slot)s
    group by division_level
),
disclosures as (
    select count(*) as fact_disclosures from serve.fct_disclosure where _slot = %(slot)s
),
evaluations as (
    select
        coalesce(sum(participants), 0)::bigint as fact_participants,
        coalesce(sum(satisfied), 0)::bigint as fact_satisfied
    from serve.fct_evaluation
    where _slot = %(slot)s
),
petitions as (
    select coalesce(sum(complaints + reports), 0)::bigint as fact_petitions
    from serve.fct_petition
    where _slot = %(slot)s
),
users as (
    select coalesce(sum(new_users), 0)::bigint as fact_users from serve.fct_registration where _slot = %(slot)s
),
problems as (
    select count(*) as fact_problems, count(*) filter (where is_resolved) as fact_resolved
    from serve.fct_tracked_problem
    where _slot = %(slot)s
)
select *
from levels
cross join disclosures
cross join evaluations
cross join petitions
cross join users
cross join problems
order by division_level
"""

MEASURES = (
    of_mart(
        "rpt_sunshine_coverage",
        key=None,
        is_kept=True,
        figures="""
    count(*) filter (where villages_covered > villages or villages_active > villages) as more_covered_than_there_are,
    count(*) filter (
        where coverage_rate not between 0 and 1 or reviewed_rate not between 0 and 1
            or published_rate not between 0 and 1 or timely_rate not between 0 and 1
            or satisfaction_rate not between 0 and 1
    ) as rates_out_of_bounds
    """,
        expectations=lambda: [
            none("more_covered_than_there_are", "villages covered and active are among the listed ones"),
            none("rates_out_of_bounds", "a share lies between 0 and 1"),
        ],
    ),
    Measure(
        name="rpt_sunshine_coverage.by_level",
        sql=BY_LEVEL,
        index="division_level",
        expectations=lambda: [
            same("level_disclosures", "fact_disclosures", "every level counts each disclosure once"),
            same("level_participants", "fact_participants", "every level counts each resident who rated once"),
            same("level_satisfied", "fact_satisfied", "every level counts each satisfied resident once"),
            same("level_petitions", "fact_petitions", "every level counts each complaint and report once"),
            same("level_users", "fact_users", "every level counts each new user once"),
            same("level_problems", "fact_problems", "every level counts each problem once"),
            same("level_resolved", "fact_resolved", "every level counts each resolved problem once"),
        ],
    ),
)
