-- Quarantined rows that were loaded after all, and batches that were read again in place of earlier ones.
alter table ops.batch add column replay_of bigint references ops.batch check (replay_of is null or kind = 'replay');
comment on column ops.batch.replay_of is 'The batch whose quarantined rows this one loads; _row in raw is their row number there.';
alter table ops.batch add column is_replacement boolean not null default false;
comment on column ops.batch.is_replacement is 'Once admitted, it takes the place of what the same provision delivered before for the same night and cursor range.';

drop index ops.batch_once_per_run;
create unique index batch_once_per_run on ops.batch (
    run_id, system, dataset, node_code, coalesce(drop_period, ''), coalesce(drop_sha256, ''), kind, coalesce(replay_of, 0)
);
create index on ops.batch (replay_of) where replay_of is not null;

-- Deferred: the rows are marked in the transaction that loads them, before the ledger's row of the batch is written.
alter table quarantine.row add column replayed_in bigint references ops.batch deferrable initially deferred;
comment on column quarantine.row.replayed_in is 'The batch that loaded the row after all; null while it waits.';
create index on quarantine.row (replayed_in) where replayed_in is not null;
grant update (replayed_in) on quarantine.row to yingshang_ingest;
