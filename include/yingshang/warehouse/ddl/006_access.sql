-- Who may see what. The rows of ops.access are the access registry's, written by `yingshang access apply` and each night;
-- the policies of the served marts read them, so a row that is gone takes all sight with it.
do $$
begin
    if to_regrole('yingshang_bi') is null then
        raise exception 'the role yingshang_bi is missing: run `yingshang warehouse init`, which makes the roles';
    end if;
end
$$;

create table ops.access (
    login name primary key,
    role text not null unique,
    division_code text not null,
    sensitivity text not null check (sensitivity in ('public', 'internal', 'confidential')),
    approver text not null,
    review_date date not null,
    expires_on date not null,
    purpose text not null,
    sees_all boolean not null,
    node_codes text[] not null,
    city_code text,
    county_code text,
    applied_at timestamptz not null default clock_timestamp(),
    check (sees_all or sensitivity <> 'confidential')
);
comment on table ops.access is 'The logins of BI tools that see anything now, and the divisions they see. A login without a row sees no row of any mart.';
comment on column ops.access.sees_all is 'It sees every division, and rows of none.';
comment on column ops.access.node_codes is 'Its division and all nodes below it, 6 digits.';
comment on column ops.access.city_code is 'Its division, 12 digits, where that is a city.';
comment on column ops.access.county_code is 'Its division, 12 digits, where that is a county.';

-- What a policy may ask: the row of whoever runs the query (current_user is the reader, also within a view).
create view ops.my_access with (security_barrier = true) as
select
    a.sees_all, a.sees_all and a.sensitivity <> 'public' as sees_small_figures, a.node_codes, a.city_code, a.county_code
from ops.access as a
where a.login = current_user;
comment on view ops.my_access is 'The row of ops.access of the login that asks.';

create table ops.access_mart (
    mart text primary key,
    rights jsonb not null,
    changed_at timestamptz not null default clock_timestamp()
);
comment on table ops.access_mart is 'What each served mart says of itself (meta of its model): sensitivity, division columns, columns above it, small figures.';

grant select, insert, update, delete on ops.access, ops.access_mart to yingshang_publish;
grant select on ops.my_access to yingshang_publish;

-- Readers: a group of all logins of BI tools. bi_reader is one of them, without rights of its own.
grant usage on schema marts to yingshang_bi;
grant select on ops.live, ops.my_access to yingshang_bi;
revoke usage on schema marts from yingshang_bi_reader;
revoke select on ops.live from yingshang_bi_reader;
