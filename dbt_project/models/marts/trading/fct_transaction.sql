{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="lot_code",
        on_schema_change="fail",
        meta={"touched": "lot", "touched_through": {"project_code": "project"}},
        indexes=[
            {"columns": ["lot_code"], "unique": true},
            {"columns": ["project_code"]},
            {"columns": ["node_code", "created_date"]},
            {"columns": ["deal_code"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
{%- set first_of_stage = {
    "notice": "notice_at",
    "opening": "opening_at",
    "result": "result_at",
    "contract": "contract_at",
    "performance": "performance_at",
    "offered": "offered_at",
    "sold": "sold_at",
    "listed": "listed_at",
    "dealt": "dealt_at",
    "registered": "registered_at",
    "awarded": "awarded_at",
    "signed": "signed_at",
    "settled": "settled_at",
} %}
{%- set last_of_stage = {
    "clarification": "clarification_at",
    "terminated": "terminated_at",
} %}
{%- set amount_of_stage = {
    "awarded": "award",
    "signed": "contract",
    "settled": "settled",
} %}

with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    all_lots as ({{ of_touched_keys(ref("stg_trading__lot"), "lot_code") }}),

    lots as (select * from all_lots where not is_deleted),

    events as ({{ of_touched_keys(ref("fct_transaction_event"), "lot_key") }}),

    bids as ({{ of_touched_keys(ref("fct_bid"), "lot_code") }}),

    notices as ({{ of_touched_keys(ref("int_trading__notices_exploded"), "lot_key") }}),

    project_keys as (select project_code as key from lots group by project_code),

    projects as ({{ of_touched_keys(ref("stg_trading__project"), "project_code", keys="project_keys") }}),

    live_projects as (select project_code from projects where not is_deleted),

    events_of_lots as (
        select
            lot_key as lot_code,
            {%- for stage, column in first_of_stage.items() %}
                min(occurred_at) filter (where stage = '{{ stage }}') as {{ column }},
            {%- endfor %}
            {%- for stage, column in last_of_stage.items() %}
                max(occurred_at) filter (where stage = '{{ stage }}') as {{ column }},
            {%- endfor %}
            {%- for stage, name in amount_of_stage.items() %}
                sum(amount_yuan) filter (where stage = '{{ stage }}' and not is_held)::numeric(
                    18, 2
                ) as {{ name }}_yuan,
                sum(amount_yuan) filter (where stage = '{{ stage }}' and is_held)::numeric(
                    18, 2
                ) as held_{{ name }}_yuan,
            {%- endfor %}
            count(*) filter (where dataset = 'notice') as notices,
            count(*) filter (where dataset = 'result') as awards,
            count(*) filter (where dataset = 'contract') as contracts,
            count(*) filter (where stage = 'terminated') as terminations,
            max(occurred_at) as last_event_at
        from events
        group by lot_key
    ),

    bids_of_lots as (
        select lot_code, count(*) as bids, min(submitted_at) as first_bid_at from bids group by lot_code
    ),

    -- what became of the notices of the first stage
    first_notices_of_lots as (
        select lot_code, bool_and(is_deleted) as are_all_withdrawn
        from notices
        where stage in ('notice', 'offered', 'listed') and lot_code is not null
        group by lot_code
    ),

    final as (
        select
            l.lot_code,
            l.project_code,
            l.deal_code,
            l.lot_name,
            l.node_code,
            l.region_code,
            l.trade_place_code,
            l.remote_evaluation_region_code,
            l.source_type_code,
            {{ type_columns() }},
            l.created_at,
            (l.created_at at time zone 'Asia/Shanghai')::date as created_date,
            {%- for column in first_of_stage.values() %} e.{{ column }}, {%- endfor %}
            {%- for column in last_of_stage.values() %} e.{{ column }}, {%- endfor %}
            b.first_bid_at,
            e.last_event_at,
            l.reckon_price_yuan,
            l.currency_code,
            {%- for name in amount_of_stage.values() %}
                e.{{ name }}_yuan, e.held_{{ name }}_yuan,
            {%- endfor %}
            coalesce(e.notices, 0) as notices,
            coalesce(b.bids, 0) as bids,
            coalesce(e.awards, 0) as awards,
            coalesce(e.contracts, 0) as contracts,
            {{ is_held("l.reckon_price_yuan") }} as is_held,
            coalesce(f.are_all_withdrawn, false) or coalesce(e.terminations, 0) > 0 as is_withdrawn,
            p.project_code is null as is_orphan,
            l.source_batch_id,
            l.source_row,
            l.source_cursor,
            {{ slot_columns() }}
        from lots as l {{ join_type("l") }}
        left join events_of_lots as e on e.lot_code = l.lot_code
        left join bids_of_lots as b on b.lot_code = l.lot_code
        left join first_notices_of_lots as f on f.lot_code = l.lot_code
        left join live_projects as p on p.project_code = l.project_code
    )

select *
from final
