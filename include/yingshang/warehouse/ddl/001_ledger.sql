-- The ledger: the only state of the warehouse. Everything else is a function of raw, a seq, a night and the code.
create schema if not exists ops;
create schema if not exists raw;
create schema if not exists quarantine;
create schema if not exists slot_a;
create schema if not exists slot_b;
create schema if not exists serve;
create schema if not exists marts;

create table ops.night_run (
    run_id text primary key,
    night date not null,
    opened_at timestamptz not null default clock_timestamp(),
    cut_off_at timestamptz,
    closed_at timestamptz,
    is_quorum_met boolean,
    verdict jsonb
);
comment on table ops.night_run is 'One run of the nightly job: one business date (night), possibly run more than once.';
create index on ops.night_run (night);

create sequence ops.batch_id_seq;

create table ops.batch (
    batch_id bigint primary key,
    run_id text not null references ops.night_run,
    night date not null,
    system text not null,
    dataset text not null,
    node_code text not null,
    kind text not null check (kind in ('window', 'drop', 'replay', 'reconcile', 'reload')),
    cursor_low text,
    cursor_high text,
    source_clock text,
    drop_period text,
    drop_revision int,
    drop_sha256 text,
    source_rows bigint not null,
    raw_rows bigint not null,
    quarantined_rows bigint not null,
    duplicate_rows bigint not null,
    contract_version text not null,
    drift jsonb not null default '{}',
    profile jsonb not null default '{}',
    landing_uri text,
    landing_bytes bigint,
    landing_sha256 text,
    started_at timestamptz not null,
    loaded_at timestamptz not null default clock_timestamp(),
    check (source_rows = raw_rows + quarantined_rows + duplicate_rows),
    check ((kind = 'drop') = (drop_period is not null))
);
comment on table ops.batch is 'What one provision delivered in one read: one landed file, one load. Written once, in the transaction that loads its rows.';
create unique index batch_once_per_run on ops.batch
    (run_id, system, dataset, node_code, coalesce(drop_period, ''), coalesce(drop_sha256, ''), kind);
create index on ops.batch (system, dataset, node_code, batch_id desc);
create index on ops.batch (night);

create table ops.batch_event (
    seq bigint primary key,
    batch_id bigint not null references ops.batch,
    event text not null check (event in ('admitted', 'withdrawn', 'superseded')),
    reason text not null,
    actor text not null default current_user,
    at timestamptz not null default clock_timestamp()
);
comment on table ops.batch_event is 'What became of each batch. seq numbers events in commit order: a smaller seq is never visible after a greater one.';
create index on ops.batch_event (batch_id, seq desc);

-- The one door for events. Call it as the last statement before COMMIT: the advisory transaction lock is held until
-- the commit, so seqs become visible in the order of their numbers and a build up to max(seq) misses nothing.
-- Only at READ COMMITTED does the max see what was committed while it waited for the lock.
create function ops.record_events(batch_ids bigint[], event text, reason text, actor text default current_user)
returns table (seq bigint, batch_id bigint)
language plpgsql
as $$
#variable_conflict use_column
declare
    base bigint;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'ops.record_events needs READ COMMITTED, not %', current_setting('transaction_isolation');
    end if;
    perform pg_advisory_xact_lock(4207001);
    select coalesce(max(e.seq), 0) into base from ops.batch_event e;
    return query
        insert into ops.batch_event (seq, batch_id, event, reason, actor)
        select base + b.n, b.id, record_events.event, record_events.reason, record_events.actor
        from unnest(batch_ids) with ordinality as b (id, n)
        order by b.n
        returning batch_event.seq, batch_event.batch_id;
end
$$;

create table ops.provision_run (
    run_id text not null references ops.night_run,
    system text not null,
    dataset text not null,
    node_code text not null,
    outcome text not null check (outcome in ('loaded', 'nothing_to_send', 'failed', 'not_provided')),
    attempts int not null default 1,
    error_type text,
    error text,
    started_at timestamptz,
    finished_at timestamptz not null default clock_timestamp(),
    primary key (run_id, system, dataset, node_code)
);
comment on table ops.provision_run is 'The provision matrix of a run: what came of each provision, the reason where nothing came.';

create table quarantine.row (
    quarantine_id bigint generated always as identity primary key,
    batch_id bigint,
    run_id text not null,
    system text not null,
    dataset text not null,
    node_code text not null,
    night date not null,
    row_number bigint not null,
    reasons text[] not null,
    payload bytea not null,
    key_id text not null,
    quarantined_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
comment on table quarantine.row is 'Rows that break their contract: every reason, and the row as delivered, encrypted with the key key_id. batch_id is null when the batch as a whole failed.';
create index on quarantine.row (batch_id);
create index on quarantine.row (expires_at);

create table ops.build (
    build_id bigint generated always as identity primary key,
    schema_name text not null,
    slot text check (slot in ('slot_a', 'slot_b')),
    kind text not null check (kind in ('full', 'incremental', 'as_of')),
    from_seq bigint not null,
    to_seq bigint not null,
    night date not null,
    run_id text,
    code_version text,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    outcome text check (outcome in ('succeeded', 'failed')),
    error text,
    check (to_seq >= from_seq)
);
comment on table ops.build is 'One build of all marts in one schema: the batches with an event in (from_seq, to_seq], seen as of to_seq and night. Models read their context from the latest row of their schema.';
create index on ops.build (schema_name, build_id desc);

create table ops.slot (
    slot text primary key check (slot in ('slot_a', 'slot_b')),
    state text not null check (state in ('empty', 'building', 'built', 'attached', 'audited', 'live', 'idle', 'bad')),
    build_id bigint references ops.build,
    seq bigint not null default 0,
    night date,
    attached_at timestamptz,
    changed_at timestamptz not null default clock_timestamp(),
    reason text
);
comment on table ops.slot is 'The two slots. seq and night are those of the last build that succeeded in it; idle = complete, was live before.';
insert into ops.slot (slot, state) values ('slot_a', 'empty'), ('slot_b', 'empty');

create table ops.publication (
    publication_id bigint generated always as identity primary key,
    kind text not null check (kind in ('publish', 'rollback')),
    build_id bigint not null references ops.build,
    slot text not null,
    night date not null,
    to_seq bigint not null,
    run_id text,
    reason text,
    missing_nodes jsonb not null default '{}',
    published_at timestamptz not null default clock_timestamp()
);
comment on table ops.publication is 'Every flip of the live slot. missing_nodes: system -> node codes without admitted data for the night.';

create table ops.live (
    only_row boolean primary key default true check (only_row),
    slot text not null check (slot in ('slot_a', 'slot_b')),
    build_id bigint not null references ops.build,
    publication_id bigint not null references ops.publication,
    flipped_at timestamptz not null default clock_timestamp()
);
comment on table ops.live is 'The one row that a publication changes: all marts read the slot named here.';

create table ops.check_result (
    result_id bigint generated always as identity primary key,
    run_id text,
    night date,
    stage text not null check (stage in ('landing', 'publish', 'dbt')),
    suite text not null,
    expectation text not null,
    severity text not null check (severity in ('stop', 'warn')),
    is_success boolean not null,
    batch_id bigint references ops.batch,
    build_id bigint references ops.build,
    observed jsonb not null default '{}',
    message text,
    at timestamptz not null default clock_timestamp()
);
comment on table ops.check_result is 'Every result of every check. batch_id is set on the results that refuse one batch.';
create index on ops.check_result (run_id);
create index on ops.check_result (build_id);

create table ops.dbt_result (
    build_id bigint not null references ops.build,
    node_id text not null,
    resource_type text not null,
    status text not null,
    seconds double precision not null,
    rows_affected bigint,
    message text,
    at timestamptz not null default clock_timestamp()
);
create index on ops.dbt_result (build_id);

create table ops.ended_reader (
    pid int not null,
    role_name text,
    application_name text,
    reason text not null,
    waited_seconds double precision not null,
    at timestamptz not null default clock_timestamp()
);
comment on table ops.ended_reader is 'Back ends ended because they stood in the way of a publication past its time limit.';
