"""rpt_connection_matrix: every transaction type at every node, connected or not."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import none, same

MEASURES = (
    of_mart(
        "rpt_connection_matrix",
        key=("type_code", "node_code"),
        least_rows=1,
        figures="""
    %(nodes)s * (
        select count(*) from serve.dim_transaction_type where _slot = %(slot)s and type_code <> 'unknown'
    ) as pairs,
    sum(lots)::bigint as matrix_lots,
    (
        select count(*) from serve.fct_transaction where _slot = %(slot)s and type_code <> 'unknown'
    ) as fact_lots,
    count(*) filter (where is_connected <> (records > 0)) as wrong_connections,
    count(*) filter (where last_record_date < connected_since_date or silent_days < 0) as impossible_dates
    """,
        expectations=lambda: [
            same("rows", "pairs", "a row for each type at each node of the registry: 38 x 115"),
            same("matrix_lots", "fact_lots", "the lots of the matrix are those of fct_transaction"),
            none("wrong_connections", "a type is connected when it has records"),
            none("impossible_dates", "the last record is not older than the first"),
        ],
    ),
)
