#!/bin/sh
# Bring a backup back: sh restore.sh FOLDER. For empty volumes, before `init` has run; the secrets are those of then.
set -eu
umask 077
secrets=${SECRETS:-/run/secrets}
backups=${BACKUPS:-/var/backups/yingshang}
server=${SERVER:-postgres:5432}
folder=$1

PGPASSWORD=$(cat "$secrets/postgres_password")
export PGPASSWORD YINGSHANG_WAREHOUSE_DSN="postgresql://postgres:$PGPASSWORD@$server/yingshang"
mkdir -p "$YINGSHANG_STATE"
for part in "$folder/registry" "$folder/reports" "$backups/landing"; do
    [ ! -d "$part" ] || cp -a "$part" "$YINGSHANG_STATE/"
done
yingshang warehouse restore "$folder/warehouse"
for database in airflow superset; do
    yingshang warehouse metadata "$secrets/${database}_metadata_dsn"
    pg_restore --exit-on-error --dbname="postgresql://postgres@$server/$database" "$folder/$database.dump"
done
