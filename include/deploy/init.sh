#!/bin/sh
# One shot, before everything else of docker-compose.yml and after each upgrade; it can be run again at any time:
# keys, roles, tables, the databases of Airflow and Superset, Airflow's metadata, its pools and its one user.
set -eu
umask 077
secrets=${SECRETS:-/run/secrets}

YINGSHANG_WAREHOUSE_DSN="postgresql://postgres:$(cat "$secrets/postgres_password")@${SERVER:-postgres:5432}/yingshang"
export YINGSHANG_WAREHOUSE_DSN # of the set-up alone
yingshang keys init
yingshang warehouse init
yingshang warehouse metadata "$secrets/airflow_metadata_dsn"
yingshang warehouse metadata "$secrets/superset_metadata_dsn"
unset YINGSHANG_WAREHOUSE_DSN

mkdir -p "$AIRFLOW_HOME"
printf '{"admin": "%s"}' "$(cat "$secrets/airflow_admin_password")" \
    >"$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
airflow db migrate
airflow pools import /opt/yingshang/include/registry/pools.json
