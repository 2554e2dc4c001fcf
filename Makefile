# Two commands matter: `make demo` and `make test`. Both set everything up by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
STAMP := $(VENV)/.ready

export DAGSTER_DISABLE_TELEMETRY := yes
export DO_NOT_TRACK := 1
export GX_ANALYTICS_ENABLED := false

.PHONY: help setup spark demo superset screenshot docs test test-bi test-spark soak lint fmt bench lock clean

help: ## what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## virtual environment with pinned dependencies and .venv/bin/ritorno

# Bytecode is compiled here, not at every start: dbt, Dagster and Great Expectations are 5,600 modules, 8 s where Python
# may not write it (PYTHONDONTWRITEBYTECODE, read-only images).
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] < (3, 14) else f"Ritorno needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}: make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps -e .
	$(BIN)/python -m compileall -q orchestration
	@touch $@

$(VENV)/.spark: requirements-spark.lock $(STAMP)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --require-hashes -r requirements-spark.lock
	@touch $@

spark: $(VENV)/.spark ## what --engine spark needs besides Java 17: pyspark and dbt-spark, 430 MB

demo: setup ## simulate a shop, refresh, publish, say where to look
	$(BIN)/ritorno demo

superset: setup ## Apache Superset on this machine, with dashboards over the demo's home (or RITORNO_HOME)
	$(BIN)/python -m bi.serve --port $(or $(PORT),8088)

screenshot: setup ## the README's picture of the report, from the demo's home (needs chromium)
	$(BIN)/python -m tests.report.screenshot docs/images/report.png

docs: setup ## the book and dbt's documentation, in site/, to open from disk
	$(BIN)/python -m docs.book site

# Spark is 430 MB that nothing can use where Java isn't
test: setup $(if $(shell command -v java),spark) ## everything that must hold
	$(BIN)/pytest -n 2 --dist worksteal

test-bi: setup ## dashboards in a real Superset, drawn in chromium: installs Superset once, then 3 minutes
	$(BIN)/pytest -m superset tests/bi

test-spark: spark ## whole refreshes on a real Spark cluster against DuckDB, Connect and Thrift servers: 23 minutes
	$(BIN)/pytest -m spark tests/engines

soak: setup ## fresh random examples in every property test, and the heavy schedules: hours, on demand
	RITORNO_HYPOTHESIS=soak RITORNO_SOAK=1 $(BIN)/pytest -n 2 --dist worksteal -m "" -k "oracle or soak or models"

lint: setup ## ruff, mypy, sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@# sqlfluff compiles through dbt, which wants a warehouse to open: an empty one does
	scratch=$$(mktemp -d) && RITORNO_HOME=$$scratch PYTHONPATH=tests/lint \
		$(BIN)/sqlfluff lint --disable-progress-bar --processes 0 models snapshots tests/dbt; \
		status=$$?; rm -rf $$scratch; exit $$status

bench: setup ## times on this machine, on demand: customer-value fits, every mart beside the floor (ORDERS=1_000_000)
	$(BIN)/python -m benchmarks.value 1000000
	rm -rf var/bench
	$(BIN)/python -m benchmarks.marts $(or $(ORDERS),1_000_000) --keep var/bench --results var/bench.json
	$(BIN)/python -m benchmarks.draw var/bench.json var/bench.svg
	$(BIN)/python -m benchmarks.expectations var/bench
	$(BIN)/uv run -q --no-project --with pandas --with polars --with pyarrow \
		python benchmarks/peers/frames.py var/bench/bench-raw
	$(BIN)/python -m benchmarks.audiences $(or $(MEMBERS),1_000_000)
	$(BIN)/python -m benchmarks.report

fmt: setup ## format Python and SQL in place
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .
	$(BIN)/sqlfluff fix models snapshots tests/dbt

lock: ## renew both lock files
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --generate-hashes --no-header -q -o requirements.lock
	$(BIN)/uv pip compile bi/superset/requirements.in --universal --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --generate-hashes --no-header -q -o bi/superset/requirements.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["spark"], sep="\n")' \
		| $(BIN)/uv pip compile - --no-deps --universal --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --generate-hashes --no-header -q -o requirements-spark.lock

clean: ## forget the environment and the demo's home
	rm -rf $(VENV) target site var
