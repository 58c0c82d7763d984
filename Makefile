# Two commands matter: `make demo` and `make test`. Both set up everything they need.
PYTHON ?= python3
SCALE ?= 0.02
NIGHTS ?= 3
SEED ?= 1
SYSTEMS ?=
FAULT_ROUNDS ?= 10
TEST_WORKERS ?= 2
BIN := .venv/bin
READY := .venv/.ready
BROWSER := .venv-browser
SCANNED := ':!*.csv' ':!requirements/*.txt' ':!*/_sources.yml' ':!LICENSE'
PYTEST := $(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo stop clean test test-browser browser-needs faults lint types format bench bench-bi docs lock audit sbom bi bi-stop

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  options: SCALE=$(SCALE) (1 = the published sizes) NIGHTS=$(NIGHTS) SEED=$(SEED) PYTHON=$(PYTHON)"
	@echo "           SYSTEMS=trading,hotline (only these of the four; default all)"

setup: $(READY) ## create the environment in .venv from the hashed lock

$(READY): requirements/lock.txt requirements/bootstrap.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": give PYTHON=/path/to/python3.11")'
	@echo "setting up .venv (about 1.3 GB) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/bootstrap.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps --compile-bytecode -r requirements/lock.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## the first load and the nights after it, end to end (SCALE= NIGHTS= SEED= SYSTEMS=); again: goes on
	@$(BIN)/python -m demo run --scale $(SCALE) --nights $(NIGHTS) --seed $(SEED) --systems '$(SYSTEMS)'

stop: $(READY) ## end everything that the demo started
	@$(BIN)/python -m demo stop

clean: $(READY) ## end everything and remove the demo's data
	@$(BIN)/python -m demo clean

bi: $(READY) ## dashboards: Superset on what the demo has published; again: what is there stays
	@$(BIN)/python -m bi run

bi-stop: $(READY) ## end Superset (`make stop` ends it too)
	@$(BIN)/python -m bi stop

test: $(READY) ## all tests, on real PostgreSQL, HTTP, SFTP and Airflow servers (TEST_WORKERS= at once)
	@$(PYTEST) $(PYTEST_ARGS)

test-browser: browser-needs $(READY) $(BROWSER)/.ready ## dashboards, report and Airflow's grid in Debian's chromium; pictures in .state/pictures
	@$(BIN)/python -m pytest -o pythonpath='. $(BROWSER)' tests/browser $(PYTEST_ARGS)

browser-needs:
	@command -v chromium > /dev/null && fc-list :lang=zh 2> /dev/null | grep -q . || { \
		echo "make test-browser needs Debian's chromium and a Chinese font: apt-get install chromium fontconfig fonts-noto-cjk" >&2; exit 1; }

$(BROWSER)/.ready: requirements/browser.lock.txt $(READY)
	@rm -rf $(BROWSER)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(BROWSER) --require-hashes --no-deps -r requirements/browser.lock.txt
	@touch $@

faults: $(READY) ## the fault suite in full, and its table: each fault struck FAULT_ROUNDS times, rows lost, rows doubled
	@FAULT_ROUNDS=$(FAULT_ROUNDS) $(PYTEST) tests/faults --timeout 3000 $(PYTEST_ARGS)

lint: $(READY) ## ruff, sqlfmt, import rules, contracts, no secret in any file
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/sqlfmt --check --quiet dbt_project
	@$(BIN)/lint-imports
	@$(BIN)/yingshang contracts check
	@git ls-files -z -- $(SCANNED) | xargs -0 -P 2 -n 400 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

audit: $(READY) ## known vulnerabilities of what the lock installs; it says so where the advisory service can't be reached
	@$(BIN)/python .ci/audit.py

sbom: $(READY) ## the bill of materials of the lock with its hashes (CycloneDX), validated, in .state/sbom.cdx.json
	@mkdir -p .state
	@$(BIN)/cyclonedx-py requirements requirements/lock.txt --pyproject pyproject.toml --mc-type application \
		--output-reproducible --validate --output-file .state/sbom.cdx.json
	@echo ".state/sbom.cdx.json: written"

types: $(READY) ## mypy, strict
	@$(BIN)/mypy

format: $(READY) ## format Python and SQL
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix . && $(BIN)/sqlfmt dbt_project

bench: $(READY) ## benchmarks: ratios measured in one run (not tests)
	@$(BIN)/python tests/bench/bench_ingest.py

bench-bi: $(READY) ## how long dashboards wait: 20 queries by 20 clients on the running demo, while publications flip
	@$(BIN)/python tests/bench/bench_bi.py $(BENCH_ARGS)

docs: $(READY) ## the pages about the models (dbt docs) in .state/docs; with types and rows if the demo runs
	@$(BIN)/yingshang docs

lock: $(READY) ## resolve requirements/requirements.in and bi.in anew into hashed locks
	@$(BIN)/uv pip compile requirements/requirements.in --override requirements/overrides.txt --generate-hashes \
		--no-header --universal --python-version 3.11 --output-file requirements/lock.txt
	@$(BIN)/uv pip compile requirements/bi.in --generate-hashes --no-header --universal --python-version 3.11 \
		--output-file requirements/bi.lock.txt
	@$(BIN)/uv pip compile requirements/browser.in --constraint requirements/lock.txt --generate-hashes --no-header --universal --python-version 3.11 \
		--output-file requirements/browser.lock.txt
