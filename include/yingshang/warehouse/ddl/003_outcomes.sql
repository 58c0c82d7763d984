-- What came of each provision, attempt by attempt. ops.provision_run holds the last word of a run, which a later attempt
-- changes; a build of a past night needs what was known when that night was published.
create table ops.provision_outcome (
    seq bigint primary key,
    run_id text not null references ops.night_run,
    system text not null,
    dataset text not null,
    node_code text not null,
    outcome text not null check (outcome in ('loaded', 'nothing_to_send', 'failed', 'not_provided')),
    error_type text,
    error text,
    at timestamptz not null default clock_timestamp()
);
comment on table ops.provision_outcome is 'Every word on every provision, never changed. seq numbers them in commit order, like ops.batch_event: a smaller seq is never visible after a greater one.';
create index on ops.provision_outcome (run_id, system, dataset, node_code, seq desc);

insert into ops.provision_outcome (seq, run_id, system, dataset, node_code, outcome, error_type, error, at)
select
    row_number() over (order by finished_at, run_id, system, dataset, node_code),
    run_id, system, dataset, node_code, outcome, error_type, error, finished_at
from ops.provision_run;

-- Writers of ops.provision_run commit at once, so the lock is held for a moment only.
create function ops.keep_outcome() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_advisory_xact_lock(4207005);
    insert into ops.provision_outcome (seq, run_id, system, dataset, node_code, outcome, error_type, error)
    select coalesce(max(o.seq), 0) + 1,
        new.run_id, new.system, new.dataset, new.node_code, new.outcome, new.error_type, new.error
    from ops.provision_outcome as o;
    return null;
end
$$;
create trigger keep_outcome after insert or update on ops.provision_run
    for each row execute function ops.keep_outcome();

create function ops.last_outcome() returns bigint
language sql stable
as 'select coalesce(max(seq), 0) from ops.provision_outcome';

alter table ops.build add column to_outcome bigint;
update ops.build as b
set to_outcome = (select coalesce(max(o.seq), 0) from ops.provision_outcome as o where o.at <= b.started_at);
alter table ops.build alter column to_outcome set not null;
alter table ops.build alter column to_outcome set default ops.last_outcome();
comment on column ops.build.to_outcome is 'The build knows ops.provision_outcome up to this seq.';

grant select on ops.provision_outcome to yingshang_ingest, yingshang_transform, yingshang_publish;
