{{ config(materialized="view") }}
select s.deal_key, s.amount_yuan, s.seq from raw.tiny as s where s.seq <= {{ build_context("to_seq") }}
