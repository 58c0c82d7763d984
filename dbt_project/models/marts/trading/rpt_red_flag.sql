{{
    config(
        indexes=[
            {"columns": ["red_flag_id", "subject_key"], "unique": true},
            {"columns": ["lot_key"]},
            {"columns": ["node_code", "raised_date"]},
            {"columns": ["raised_date"]},
        ]
    )
}}

-- A hit is a hint to look, not an accusation.
with
    flags as (select * from {{ ref("red_flags") }} where status = 'computed'),

    settings as (select * from {{ ref("red_flag_settings") }}),

    lots as (select * from {{ ref("int_trading__lots_measured") }}),

    -- one row per lot and flag that can be judged: what is missing is not judged
    lots_measured as (
        select
            m.red_flag_id,
            l.lot_code as subject_key,
            l.lot_code,
            l.project_code,
            l.deal_code,
            l.node_code,
            l.region_code,
            l.type_code,
            l.industry_code,
            l.national_class,
            l.buyer_code,
            l.winner_code as organization_code,
            m.raised_date,
            m.measured,
            1::bigint as cases,
            l.bids as parts,
            m.from_date,
            m.to_date,
            m.base_yuan,
            m.other_yuan
        from lots as l
        cross join
            lateral(
                values
                    (
                        'R003',
                        l.deadline_date,
                        case when l.tender_mode = '1' then l.deadline_date - l.notice_date end::numeric,
                        l.notice_date,
                        l.deadline_date,
                        null::numeric,
                        null::numeric
                    ),
                    (
                        'R018',
                        l.awarded_date,
                        case when l.awards > 0 then nullif(l.bids, 0) end,
                        l.awarded_date,
                        null,
                        null,
                        null
                    ),
                    (
                        'R024',
                        l.awarded_date,
                        {{ share_above("l.second_price_yuan", "l.winning_price_yuan") }},
                        null,
                        null,
                        l.winning_price_yuan,
                        l.second_price_yuan
                    ),
                    (
                        'R028',
                        coalesce(l.deadline_date, l.awarded_date, l.notice_date),
                        l.same_price_bids,
                        null,
                        null,
                        l.same_price_yuan,
                        null
                    ),
                    (
                        'R030',
                        l.winner_submitted_date,
                        case when l.winner_bids = 1 then l.winner_submitted_date - l.deadline_date end,
                        l.deadline_date,
                        l.winner_submitted_date,
                        null,
                        null
                    ),
                    (
                        'R031',
                        l.awarded_date,
                        l.award_yuan / nullif(l.reckon_price_yuan, 0),
                        null,
                        null,
                        l.reckon_price_yuan,
                        l.award_yuan
                    ),
                    (
                        'R035',
                        l.awarded_date,
                        case
                            when
                                l.winner_bids = 1
                                and l.winner_rejected_bids = 0
                                and l.unjudged_bids = 0
                                and l.bids - l.rejected_bids = 1
                            then l.rejected_bids
                        end,
                        l.awarded_date,
                        null,
                        null,
                        null
                    ),
                    (
                        'R036',
                        l.awarded_date,
                        case
                            when l.awards > 0 then l.lowest_valid_price_yuan - l.lowest_rejected_price_yuan
                        end,
                        null,
                        null,
                        l.lowest_rejected_price_yuan,
                        l.lowest_valid_price_yuan
                    ),
                    (
                        'R058',
                        l.awarded_date,
                        {{ share_above("l.second_price_yuan", "l.winning_price_yuan") }},
                        null,
                        null,
                        l.winning_price_yuan,
                        l.second_price_yuan
                    ),
                    (
                        'R059',
                        l.signed_date,
                        abs({{ share_above("l.contract_yuan", "l.award_yuan") }}),
                        null,
                        null,
                        l.award_yuan,
                        l.contract_yuan
                    ),
                    (
                        'R060',
                        l.signed_date,
                        l.signed_date - l.awarded_date,
                        l.awarded_date,
                        l.signed_date,
                        null,
                        null
                    ),
                    (
                        'R061',
                        l.awarded_date,
                        l.awarded_date - l.deadline_date,
                        l.deadline_date,
                        l.awarded_date,
                        null,
                        null
                    ),
                    (
                        'R062',
                        l.awarded_date,
                        l.awarded_date - l.deadline_date,
                        l.deadline_date,
                        l.awarded_date,
                        null,
                        null
                    ),
                    (
                        'R063',
                        l.signed_date,
                        coalesce(l.contract_date, {{ build_context("night") }}) - l.signed_date,
                        l.signed_date,
                        l.contract_date,
                        null,
                        null
                    ),
                    ('R064', l.settled_date, l.is_changed::int, l.settled_date, null, null, null),
                    (
                        'R068',
                        l.settled_date,
                        {{ share_above("l.settled_yuan", "l.contract_yuan") }},
                        null,
                        null,
                        l.contract_yuan,
                        l.settled_yuan
                    ),
                    (
                        'LN01',
                        l.awarded_date,
                        coalesce(l.result_date, {{ build_context("night") }}) - l.awarded_date,
                        l.awarded_date,
                        l.result_date,
                        null,
                        null
                    ),
                    (
                        'LN02',
                        l.awarded_date,
                        case when l.bids > 0 and l.winner_code is not null then (l.winner_bids = 0)::int end,
                        l.awarded_date,
                        null,
                        null,
                        null
                    )
            ) as m(red_flag_id, raised_date, measured, from_date, to_date, base_yuan, other_yuan)
        where m.measured is not null
    ),

    awarded_lots as (select * from lots where awarded_date is not null and buyer_code is not null),

    -- a buyer's lots of several classes are judged together, so they are those of the flag's classes from
    -- the start
    buyers_rejecting as (
        select
            f.red_flag_id,
            l.node_code || '/' || l.buyer_code as subject_key,
            l.node_code,
            l.buyer_code,
            null::text as organization_code,
            max(l.awarded_date) as raised_date,
            sum(l.rejected_bids) / sum(l.bids) as measured,
            count(*) as cases,
            sum(l.bids)::bigint as parts
        from awarded_lots as l
        inner join flags as f on l.national_class = any(string_to_array(f.national_classes, ';'))
        where f.red_flag_id = 'R038' and l.bids > 0 and l.unjudged_bids = 0
        group by f.red_flag_id, l.node_code, l.buyer_code
    ),

    wins_of_years as (
        select
            f.red_flag_id,
            l.node_code,
            l.buyer_code,
            l.winner_code,
            extract(year from l.awarded_date)::int as award_year,
            max(l.awarded_date) as last_awarded_date,
            count(*) as wins
        from awarded_lots as l
        inner join flags as f on l.national_class = any(string_to_array(f.national_classes, ';'))
        where f.red_flag_id = 'R040' and l.winner_code is not null
        group by f.red_flag_id, l.node_code, l.buyer_code, l.winner_code, award_year
    ),

    buyers_with_a_winner as (
        select
            red_flag_id,
            node_code || '/' || buyer_code || '/' || award_year || '/' || winner_code as subject_key,
            node_code,
            buyer_code,
            winner_code as organization_code,
            last_awarded_date as raised_date,
            wins / sum(wins) over (partition by node_code, buyer_code, award_year) as measured,
            (sum(wins) over (partition by node_code, buyer_code, award_year))::bigint as cases,
            wins as parts
        from wins_of_years
    ),

    buyers_measured as (
        select *
        from buyers_rejecting
        union all
        select *
        from buyers_with_a_winner
    ),

    measured as (
        select *
        from lots_measured
        union all
        select
            red_flag_id,
            subject_key,
            null,
            null,
            null,
            node_code,
            null,
            null,
            null,
            null,
            buyer_code,
            organization_code,
            raised_date,
            measured,
            cases,
            parts,
            null,
            null,
            null,
            null
        from buyers_measured
    ),

    hits as (
        select
            m.*,
            f.name_en,
            f.name_cn,
            f.subject,
            f.unit,
            f.reason_en,
            f.reason_cn,
            s.threshold,
            s.least_cases,
            s.valid_from,
            s.valid_to
        from measured as m
        inner join flags as f on f.red_flag_id = m.red_flag_id
        inner join
            settings as s
            on s.red_flag_id = m.red_flag_id
            and (s.valid_from is null or s.valid_from <= m.raised_date)
            and (s.valid_to is null or s.valid_to > m.raised_date)
        where
            (m.lot_code is null or m.national_class = any(string_to_array(f.national_classes, ';')))
            and m.raised_date is not null
            and m.cases >= s.least_cases
            and case
                f.comparison
                when '<'
                then m.measured < s.threshold
                when '<='
                then m.measured <= s.threshold
                when '>='
                then m.measured >= s.threshold
                when '>'
                then m.measured > s.threshold
            end
    ),

    final as (
        select
            red_flag_id,
            name_en as red_flag_name,
            name_cn as red_flag_name_cn,
            subject,
            subject_key,
            lot_code as lot_key,
            project_code,
            deal_code,
            node_code,
            region_code,
            type_code,
            industry_code,
            buyer_code,
            organization_code,
            raised_date,
            measured::numeric(18, 6) as measured,
            threshold,
            unit,
            least_cases,
            valid_from as setting_valid_from,
            valid_to as setting_valid_to,
            {{ red_flag_reason("reason_en", "not yet") }} as reason,
            {{ red_flag_reason("reason_cn", "尚无") }} as reason_cn,
            {{ slot_columns() }}
        from hits
    )

-- the days that are asked for lie together
select *
from final
order by raised_date
