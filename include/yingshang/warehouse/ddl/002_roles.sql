-- Rights of the technical roles on the objects of this database. The roles themselves, their membership in each other
-- and their settings are cluster-wide: `yingshang warehouse init` makes them (warehouse/roles.py).
grant usage on schema ops to yingshang_ingest, yingshang_transform, yingshang_publish;
grant usage on schema raw to yingshang_ingest, yingshang_transform, yingshang_publish;
grant usage on schema quarantine to yingshang_ingest;

grant select on all tables in schema ops to yingshang_ingest, yingshang_transform, yingshang_publish;
grant insert, update on ops.night_run, ops.provision_run to yingshang_ingest;
grant insert on ops.batch, ops.batch_event, ops.check_result to yingshang_ingest;
grant usage on sequence ops.batch_id_seq to yingshang_ingest;
grant select, insert, delete on quarantine.row to yingshang_ingest;

grant usage, create on schema slot_a, slot_b to yingshang_transform, yingshang_publish;
grant usage, create on schema serve, marts to yingshang_publish;
grant insert, update on ops.build, ops.slot, ops.live to yingshang_publish;
grant delete on ops.live to yingshang_publish;
grant insert on ops.publication, ops.check_result, ops.dbt_result, ops.ended_reader, ops.batch_event
    to yingshang_publish;

-- Readers reach marts only. They may select from ops.live (and, once built, from serve), but without USAGE on these
-- schemas a name of theirs does not resolve: only the views of marts, which were resolved when made, lead there.
grant usage on schema marts to yingshang_bi_reader;
grant select on ops.live to yingshang_bi_reader;
