-- A batch with the last thing said of it: what every question about visible, waiting and hidden batches reads.
-- One index step per batch that the question names, so its cost does not grow with the history of the others. A new
-- column of ops.batch has to be added here as well (create or replace view, at the end).
create view ops.batch_state with (security_invoker = true) as
select
    b.batch_id, b.run_id, b.night, b.system, b.dataset, b.node_code, b.kind, b.cursor_low, b.cursor_high,
    b.source_clock, b.drop_period, b.drop_revision, b.drop_sha256, b.source_rows, b.raw_rows, b.quarantined_rows,
    b.duplicate_rows, b.contract_version, b.drift, b.profile, b.landing_uri, b.landing_bytes, b.landing_sha256,
    b.started_at, b.loaded_at, b.replay_of, b.is_replacement, last.event, last.seq, last.reason
from ops.batch as b
left join lateral (
    select e.event, e.seq, e.reason from ops.batch_event as e where e.batch_id = b.batch_id order by e.seq desc limit 1
) as last on true;
comment on view ops.batch_state is 'A batch and its last event: visible while event is admitted, waiting for the gate while it is null.';
comment on column ops.batch_state.seq is 'The number of the last event; null before the gate has judged the batch.';

grant select on ops.batch_state to yingshang_ingest, yingshang_transform, yingshang_publish;
