{#- The expression holds for every row; a row for which it is null passes. -#}
{% test expression_holds(model, expression) %}
    select * from {{ model }} where not ({{ expression }})
{% endtest %}
