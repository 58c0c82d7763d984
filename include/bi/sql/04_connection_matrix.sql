-- title: Connection matrix
-- title_cn: 接入矩阵
-- question: Which of the 38 transaction types are connected at which of the 115 nodes, and silent for how long?
select type_code, node_code, is_connected, silent_days, records
from marts.rpt_connection_matrix
order by type_code, node_code
