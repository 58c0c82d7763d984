-- What people have been told, so that nothing is said twice: a node that stays silent is news once.
create table ops.alert_message (
    message_id bigint generated always as identity primary key,
    dag_id text not null,
    run_id text not null,
    title text not null,
    body text not null,
    said_at timestamptz not null default clock_timestamp()
);
comment on table ops.alert_message is 'Every message that a service took. Kinds, codes, names of ours and counts: no exception text, no row of a source.';

create table ops.alert (
    alert_id bigint generated always as identity primary key,
    kind text not null,
    subject text not null,
    state text not null,
    detail text not null,
    first_message bigint not null references ops.alert_message,
    last_message bigint not null references ops.alert_message,
    over_message bigint references ops.alert_message
);
comment on table ops.alert is 'What was said of one subject (a node of a system, a batch, a build), from the message that told of it to the one that said it is over.';
comment on column ops.alert.state is 'What it was like when it was last said; another state is said again.';
create unique index alert_open on ops.alert (kind, subject) where over_message is null;

grant select on ops.alert, ops.alert_message to yingshang_ingest, yingshang_publish;
grant insert on ops.alert, ops.alert_message to yingshang_publish;
grant update (state, detail, last_message, over_message) on ops.alert to yingshang_publish;
