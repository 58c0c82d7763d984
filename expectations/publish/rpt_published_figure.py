"""rpt_published_figure: what the province said in public. A wrong figure stops, a missing node does not."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import at_most, none
from yingshang.quality.suites import Measure

BY_FIGURE = """
select
    figure
        || case when verdict = 'differs' then
            ' (' || coalesce(trim_scale(value)::text, 'nothing')
            || ' instead of ' || trim_scale(expected_value) || ', ' || rule || ', ' || basis || ')'
        else '' end
        || case when verdict = 'incomplete' then
            case when missing_nodes = 0 then ' (no node provides it)' else
                ' (' || left(missing_node_codes, 38)
                || case when missing_nodes > 5 then ' ...' else '' end || ' missing)'
            end
        else '' end as figure,
    (verdict = 'differs')::int as differs,
    (verdict = 'incomplete')::int as incomplete
from serve.rpt_published_figure
where _slot = %(slot)s
order by 1
"""

MEASURES = (
    of_mart(
        "rpt_published_figure",
        key="figure",
        figures="""
    count(*) filter (where verdict not in ('holds', 'differs', 'incomplete')) as unknown_verdicts,
    count(*) filter (where verdict = 'holds' and (value is null or missing_nodes > 0)) as held_without_ground
    """,
        expectations=lambda: [
            none("unknown_verdicts", "a figure holds, differs or is incomplete"),
            none("held_without_ground", "no figure holds without a value, or while a node is missing"),
        ],
    ),
    Measure(
        name="rpt_published_figure.by_figure",
        sql=BY_FIGURE,
        index="figure",
        expectations=lambda: [
            none("differs", "a figure that the province published does not come out: `yingshang figures` shows it"),
            at_most(
                "incomplete", 0, "a node has never delivered what the figure counts: it is published with its name"
            ),
        ],
    ),
)
