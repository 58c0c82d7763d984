-- What readers saw of each publication, in brief. The slot of a publication is overwritten by the next build but one; the
-- report of a night says what has changed since the publication before.
create table ops.publication_summary (
    publication_id bigint primary key references ops.publication,
    mart_rows jsonb not null,
    figures jsonb not null,
    levels jsonb not null,
    overdue jsonb not null,
    made_at timestamptz not null default clock_timestamp()
);
comment on table ops.publication_summary is 'A publication in brief: rows per mart, published figures, quality levels of sources, overdue issues. Counts only, no row of a citizen.';
comment on column ops.publication_summary.mart_rows is 'mart -> rows that readers see.';
comment on column ops.publication_summary.figures is 'Rows of rpt_published_figure.';
comment on column ops.publication_summary.levels is 'system, node_code, node_name, quality_level and shortcomings of rpt_source_scorecard.';
comment on column ops.publication_summary.overdue is 'node_code -> overdue issues of rpt_batch_progress.';

grant select on ops.publication_summary to yingshang_ingest, yingshang_transform, yingshang_publish;
grant insert on ops.publication_summary to yingshang_publish;
