-- Nothing of the owner's is anybody's until it is granted. PostgreSQL lets everyone execute a new function.
alter default privileges revoke execute on functions from public;
revoke execute on function ops.record_events(bigint[], text, text, text), ops.last_outcome(), ops.keep_outcome() from public;
grant execute on function ops.record_events(bigint[], text, text, text) to yingshang_ingest, yingshang_publish;
grant execute on function ops.last_outcome() to yingshang_publish;
