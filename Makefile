# `make` prints what there is. Nothing here needs root, Docker or a running server.

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; `make setup PYTHON=/path/to/python` takes another.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		&& { echo $$python; break; }; done)
UV ?= $(shell command -v uv 2>/dev/null)
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test test-later chaos lint ruff format-check types imports format lock

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## make .venv and install what the lock file says
	@:

demo: setup ## watch tickets live: real servers, simulated backends and partner, about a minute
	@$(BIN)/slipway demo

# Each part runs even when one before it failed; pytest last, so that its summary is.
test: setup ## everything that must pass: lint, types, import contracts, tests
	@lint=0; $(MAKE) --no-print-directory --keep-going lint || lint=$$?; \
	if [ $$lint -ne 0 ]; then echo "==> lint failed, see above; the tests run all the same"; fi; \
	echo "==> pytest"; $(BIN)/pytest -n 2 && exit $$lint

# What holds a fixed date beside a real clock fails in it today, and not on some day to come.
DAYS ?= 400
test-later: setup ## the tests as they will run in DAYS=400 days, with all clocks shifted
	@$(BIN)/python -m tests.another_day --days $(DAYS) -n 2

lint: ruff format-check types imports ## the parts of `test` that run no test

ruff: setup
	@echo "==> ruff check"; $(BIN)/ruff check

format-check: setup
	@echo "==> ruff format --check"; $(BIN)/ruff format --check

types: setup
	@echo "==> mypy"; $(BIN)/mypy

imports: setup
	@echo "==> lint-imports"; $(BIN)/lint-imports --no-logo

format: setup ## bring the code into its form
	@$(BIN)/ruff check --fix-only; $(BIN)/ruff format

chaos: setup ## break it on purpose: ten minutes of faults under load, then the books
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.faults $(CHAOS)

.PHONY: demo-pictures
demo-pictures: setup ## play the demo and put its pictures into the README
	@$(BIN)/python -m worker.cli.demo.readme_pictures

.PHONY: bench bench-quick
bench: setup ## measure every row of the table in tests/load/README.md: under 40 minutes
	@$(BIN)/python -m tests.load.bench

bench-quick: setup ## the same with less of everything, in under 5 minutes
	@$(BIN)/python -m tests.load.bench --quick

LOCK = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate -q

lock: setup ## renew both lock files from pyproject.toml
	$(LOCK) -o requirements.lock
	$(LOCK) --extra embedded --group dev -o requirements-dev.lock

# The stamp is younger than what it was made from, or everything is installed again.
$(INSTALLED): pyproject.toml requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "Slipway needs Python 3.11 or newer: install it, or name it" \
		"with make setup PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || { \
		echo "==> making $(VENV) with $$($(PYTHON) --version)"; \
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
