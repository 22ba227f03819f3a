# `make` lists the targets. None of them needs root, Docker or a running server.

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; `make setup PYTHON=/path/to/python` takes another.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		&& { echo $$python; break; }; done)
UV ?= $(shell command -v uv 2>/dev/null)
INSTALLED := $(VENV)/.installed

# A module stays in one process: its tests share what takes long to start. The longest go first.
# Of two cores two processes would leave a third idle: tests wait for processes, servers and partners.
PROCESSES ?= 3
IN_PARALLEL = -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
# The tests start hundreds of processes; compiling everything again takes each a quarter of a second.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo check test test-later chaos lint ruff format-check types imports format lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## create .venv and install the locked packages
	@:

demo: setup ## run the demo: real servers, simulated backends and partners, about a minute
	@$(BIN)/slipway demo

# The inner loop: what needs no whole system. A life is rehearsed two hundred times, not two thousand.
check: setup ## run the inner loop: lint, types, import contracts, unit tests, properties
	@$(MAKE) --no-print-directory lint
	@echo "==> pytest"; $(BIN)/pytest -q $(IN_PARALLEL) -m "not slow" tests/unit tests/properties

# Each part runs even if an earlier one failed; pytest runs last, so its summary comes last.
test: setup ## run everything that must pass: lint, types, import contracts, tests
	@lint=0; $(MAKE) --no-print-directory --keep-going lint || lint=$$?; \
	if [ $$lint -ne 0 ]; then echo "==> lint failed, see above; running the tests anyway"; fi; \
	echo "==> pytest"; $(BIN)/pytest $(IN_PARALLEL) && exit $$lint

# A test that compares a fixed date with a real clock fails here today instead of on some later day.
DAYS ?= 400
test-later: setup ## run the tests as of DAYS=400 days from now, with all clocks shifted
	@$(BIN)/python -m tests.another_day --days $(DAYS) $(IN_PARALLEL)

lint: ruff format-check types imports ## run ruff, the format check, mypy and the import contracts

ruff: setup
	@echo "==> ruff check"; $(BIN)/ruff check

format-check: setup
	@echo "==> ruff format --check"; $(BIN)/ruff format --check

types: setup
	@echo "==> mypy"; $(BIN)/mypy

imports: setup
	@echo "==> lint-imports"; $(BIN)/lint-imports --no-logo

format: setup ## fix and format the code
	@$(BIN)/ruff check --fix-only; $(BIN)/ruff format

chaos: setup ## inject faults under load for ten minutes, then reconcile
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.faults $(CHAOS)

.PHONY: demo-pictures
demo-pictures: setup ## run the demo and put its screens into the README
	@$(BIN)/python -m worker.cli.demo.readme_pictures

.PHONY: console-pictures
console-pictures: setup ## run a system and put pictures of its console into the README
	@$(BIN)/python -m tests.support.console_pictures

.PHONY: bench bench-quick
bench: setup ## measure every row of the table in tests/load/README.md, in under 40 minutes
	@$(BIN)/python -m tests.load.bench

bench-quick: setup ## the same with smaller loads, in under 5 minutes
	@$(BIN)/python -m tests.load.bench --quick

# The peers are no dependencies: they have an environment of their own. Where npm or its package is
# missing, the benchmark says that Restate was not run, and why.
PEERS := build/peers
RESTATE := @restatedev/restate-server@1.7.12

.PHONY: bench-peers
bench-peers: setup $(PEERS)/.installed ## measure Slipway beside pgqueuer, procrastinate, DBOS, Restate and plain Celery
	@$(BIN)/python -m tests.load.peers.bench $(BENCH_PEERS)

$(PEERS)/.installed: tests/load/peers/requirements.txt
	@echo "==> installing the peers into $(PEERS)"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(PEERS)
	@$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python -r $<
	@npm install --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error \
		--prefix $(PEERS) $(RESTATE) || echo "==> npm could not install $(RESTATE)"
	@touch $@

LOCK = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate -q

lock: setup ## regenerate both lock files from pyproject.toml
	$(LOCK) -o requirements.lock
	$(LOCK) --extra embedded --group dev -o requirements-dev.lock

# Everything is installed again if pyproject.toml or the lock file is newer than the stamp.
$(INSTALLED): pyproject.toml requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "Slipway needs Python 3.11 or newer: install it, or choose one" \
		"with make setup PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || { \
		echo "==> creating $(VENV) with $$($(PYTHON) --version)"; \
		$(if $(UV),$(UV) venv --quiet --python $(PYTHON) $(VENV),$(PYTHON) -m venv $(VENV)) \
			|| { rm -rf $(VENV); exit 1; }; }
	@echo "==> installing $$(grep -c '^[a-z].*==' requirements-dev.lock) packages into $(VENV)" \
		"with $(if $(UV),uv,pip) (the first time, this takes about a minute)"
ifneq ($(UV),)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@echo "==> installing Slipway itself: the command $(BIN)/slipway"
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input --quiet \
		--require-hashes -r requirements-dev.lock
	@echo "==> installing Slipway itself: the command $(BIN)/slipway"
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input --quiet \
		--no-deps --no-build-isolation -e .
endif
	@touch $@
