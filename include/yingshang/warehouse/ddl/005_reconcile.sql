-- What a comparison of a provision with its source found, and what was done about it.
create table ops.reconciliation (
    reconciliation_id bigint generated always as identity primary key,
    run_id text not null,
    night date not null,
    system text not null,
    dataset text not null,
    node_code text not null,
    method text not null check (method in ('digests', 'full', 'drops')),
    outcome text not null check (outcome in ('same', 'repaired', 'blocked')),
    compared_to text,
    contract_version text not null,
    source_rows bigint not null,
    warehouse_rows bigint not null,
    pending_rows bigint not null,
    unverified_rows bigint not null,
    lost_rows bigint not null,
    changed_rows bigint not null,
    deleted_rows bigint not null,
    rejected_rows bigint not null,
    bytes_moved bigint not null,
    bytes_full bigint not null,
    notes text[] not null default '{}',
    batch_id bigint references ops.batch deferrable initially deferred,
    accepts bigint references ops.reconciliation,
    actor text not null default current_user,
    reason text,
    started_at timestamptz not null,
    finished_at timestamptz not null default clock_timestamp(),
    check ((outcome = 'repaired') = (batch_id is not null)),
    check ((accepts is null) = (reason is null))
);
comment on table ops.reconciliation is 'One comparison of what is visible here of a provision with what its source has. Written once, in the transaction that loads the repair.';
comment on column ops.reconciliation.run_id is 'The reconcile run: its batches are in runs <run_id>:<night>.';
comment on column ops.reconciliation.compared_to is 'Rows of the source with a cursor up to this were compared; later ones belong to the next night.';
comment on column ops.reconciliation.unverified_rows is 'Live rows here that nothing at the source speaks of any more (drops that were taken away).';
comment on column ops.reconciliation.accepts is 'The blocked comparison whose deletions a person has accepted.';
create unique index on ops.reconciliation (run_id, system, dataset, node_code);
create index on ops.reconciliation (system, dataset, node_code, reconciliation_id desc);

create table ops.reconciliation_difference (
    reconciliation_id bigint not null references ops.reconciliation,
    kind text not null check (kind in ('lost', 'changed', 'deleted', 'rejected')),
    key_digest text not null,
    key text[],
    cursor_here text,
    cursor_there text,
    digest_here text,
    digest_there text,
    batch_here bigint,
    row_here bigint,
    reasons text[]
);
comment on table ops.reconciliation_difference is 'The keys that differed, up to a limit per kind. No personal data: keys are codes, digests leave persons and free texts out. rejected: the source has a row that breaks the contract; it is not loaded and not asked about again while it stays the same.';
comment on column ops.reconciliation_difference.key is 'Values of the primary key in contract order; null where only the digest of the key is known.';
create index on ops.reconciliation_difference (reconciliation_id);
create index on ops.reconciliation_difference (key_digest) where kind = 'rejected';

grant select on ops.reconciliation, ops.reconciliation_difference
    to yingshang_ingest, yingshang_transform, yingshang_publish;
grant insert on ops.reconciliation, ops.reconciliation_difference to yingshang_ingest;
