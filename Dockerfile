# The image of docker-compose.yml: the locked environment and the project, run as an ordinary user.
FROM python:3.11-slim
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-client && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/yingshang
COPY requirements requirements
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements/bootstrap.txt \
    && uv pip install --system --no-cache --require-hashes --no-deps -r requirements/lock.txt
COPY pyproject.toml README.md LICENSE ./
COPY include include
RUN uv pip install --system --no-deps --no-build-isolation --editable .
COPY dags dags
COPY dbt_project dbt_project
COPY expectations expectations
RUN useradd --create-home yingshang && mkdir -p /var/lib/yingshang && chown yingshang /var/lib/yingshang dbt_project
USER yingshang
