{{ config(indexes=[{"columns": ["kind", "key"], "unique": true}], post_hook="analyze {{ this }}") }}
-- One macro per system in macros/touched, one line here: kind and key, each pair once. No two systems share a
-- kind.
with
    trading as ({{ touched_keys_of_trading() }}),

    supervision as ({{ touched_keys_of_supervision() }}),

    hotline as ({{ touched_keys_of_hotline() }}),

    sunshine as ({{ touched_keys_of_sunshine() }}),

    final as (
        select *
        from trading
        union all
        select *
        from supervision
        union all
        select *
        from hotline
        union all
        select *
        from sunshine
    )

select *
from final
