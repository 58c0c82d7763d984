#!/bin/sh
# Make the secrets that docker-compose.yml reads: sh include/deploy/secrets.sh [folder]. What is there already stays.
# Run it as root: the containers read the files through the group 10001, and nobody else may.
set -eu
umask 077
folder=${1:-secrets}
mkdir -p "$folder/yingshang"

random() {
    head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'
}
put() { # no newline at the end: Airflow takes a file as it is
    [ -e "$folder/$1" ] || printf %s "$2" >"$folder/$1"
}

put postgres_password "$(random | tr -d =)"
put airflow_metadata_dsn "postgresql+psycopg2://airflow:$(random | tr -d =)@postgres:5432/airflow"
put airflow_fernet_key "$(random)"
put airflow_api_secret "$(random)"
put airflow_jwt_secret "$(random)"
put airflow_admin_password "$(random | tr -d =)"
put superset_metadata_dsn "postgresql+psycopg2://superset:$(random | tr -d =)@postgres:5432/superset"
put yingshang/connections.json '{}'

if [ "$(id -u)" = 0 ]; then
    chown -R 0:10001 "$folder"
    chmod 0750 "$folder"
    chmod 0640 "$folder"/*_*
    chown -R 10001:10001 "$folder/yingshang"
else
    echo "not root: the containers (user 10001) can't read $folder yet; run this once more as root" >&2
fi
