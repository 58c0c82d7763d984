#!/bin/sh
# One backup into a folder of its own, named by its moment (UTC): the warehouse, the metadata of Airflow and Superset,
# registry and reports. Landed files never change: they go into one folder beside, and only new ones are copied.
# The secrets are not in it: keep their copy elsewhere.
set -eu
umask 077
secrets=${SECRETS:-/run/secrets}
backups=${BACKUPS:-/var/backups/yingshang}
server=${SERVER:-postgres:5432}
folder=$backups/$(date -u +%Y%m%dT%H%M%SZ)

PGPASSWORD=$(cat "$secrets/postgres_password")
export PGPASSWORD YINGSHANG_WAREHOUSE_DSN="postgresql://postgres:$PGPASSWORD@$server/yingshang"
mkdir -p "$folder"
yingshang warehouse backup "$folder/warehouse"
for database in airflow superset; do
    pg_dump --format=custom --file="$folder/$database.dump" --dbname="postgresql://postgres@$server/$database"
done
for part in registry reports; do
    [ ! -d "$YINGSHANG_STATE/$part" ] || cp -a "$YINGSHANG_STATE/$part" "$folder/"
done
mkdir -p "$YINGSHANG_STATE/landing"
cp -a -u "$YINGSHANG_STATE/landing" "$backups/"
echo "$folder: complete"
