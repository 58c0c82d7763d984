{#- National text forms to types. What breaks a contract never reaches raw, so a cast does not fail here. -#}
{#- yyyyMMddHHmmss or yyyyMMdd, Asia/Shanghai -> timestamptz -#}
{% macro shanghai_time(column) -%}
    (
        left(nullif({{ column }}, ''), 8) || 'T' || rpad(substr({{ column }}, 9), 6, '0')
    )::timestamp at time zone 'Asia/Shanghai'
{%- endmacro %}

{#- The day of yyyyMMdd or yyyyMMddHHmmss -> date -#}
{% macro shanghai_date(column) -%} to_date(left(nullif({{ column }}, ''), 8), 'YYYYMMDD') {%- endmacro %}

{#- An amount and its PRICE_UNIT (0 yuan, 1 万元) -> yuan -#}
{% macro yuan(amount, unit) -%}
    round({{ amount }} * case {{ unit }} when '1' then 10000 else 1 end, 2)::numeric(18, 2)
{%- endmacro %}

{#- An amount that has a PRICE_FORM_CODE: only form 1 is an amount of money; 2 rate, 3 unit price and 9 other are not. -#}
{% macro yuan_of_form(amount, unit, form) -%}
    (case when coalesce({{ form }}, '1') = '1' then {{ yuan(amount, unit) }} end)::numeric(18, 2)
{%- endmacro %}

{#- 1/T, 0/F -> boolean -#}
{% macro flag(column) -%}
    case {{ column }} when '1' then true when 'T' then true when '0' then false when 'F' then false end
{%- endmacro %}

{#- Whether an amount awaits confirmation -#}
{% macro is_held(amount_yuan) -%}
    coalesce({{ amount_yuan }} > {{ var("held_above_yuan") }}, false)
{%- endmacro %}

{#- The check character of a unified social credit code (GB 32100-2015): weights 3^(i-1) mod 31. -#}
{% macro is_valid_uscc(code) -%}
    {%- set alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY" -%}
    coalesce(
        {{ code }} ~ '^[0-9ABCDEFGHJKLMNPQRTUWXY]{18}$'
        and strpos('{{ alphabet }}', right({{ code }}, 1)) - 1 = (
            31 - (
                {%- for i in range(17) %}
                    {{ "+ " if not loop.first }} (
                        strpos('{{ alphabet }}', substr({{ code }}, {{ i + 1 }}, 1)) - 1
                    )
                    * {{ (3**i) % 31 }}
                {%- endfor %}
            )
            % 31
        )
        % 31,
        false
    )
{%- endmacro %}
