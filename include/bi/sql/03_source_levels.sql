-- title: Quality of the sources
-- title_cn: 数据源质量等级
-- question: How many nodes have which quality level, by system?
select system, quality_level, count(*) as nodes, sum(night_quarantined_rows) as rejected_rows_tonight
from marts.rpt_source_scorecard
group by system, quality_level
order by system, quality_level
