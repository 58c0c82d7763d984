{#- The relation has exactly so many rows. -#}
{% test row_count(model, equals) %}
    select count(*) as found, {{ equals }} as expected from {{ model }} having count(*) <> {{ equals }}
{% endtest %}
