# One recipe a job; `make check` is what continuous integration would run by hand.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO_OUT ?= demo
CUSTOMERS ?= 5000
DAYS ?= 200
SEED ?= 7
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo demo-live test test-slow clients test-postgres check lint types layers docs bench-speed bench-track \
  bench-segments bench-calibration bench-users bench-model lock clean

demo: $(VENV)/.demo
	@$(BIN)/python -m shoal.cli.demo --out "$(DEMO_OUT)" --customers $(CUSTOMERS) --days $(DAYS) --seed $(SEED) \
	  $(if $(DATA),--data "$(DATA)") $(if $(PRESET),--preset "$(PRESET)")

# A shop that is served, with customers sent in fast-forward through a tracking client.
demo-live: $(VENV)/.demo .clients/.python
	@$(BIN)/python -m shoal.cli.demo_live --client .clients/python/bin/python $(ARGS)

# With a tracking client in an environment of its own, for the live demo in small.
test: $(VENV)/.test .clients/.python
	$(BIN)/python -m pytest -n auto --dist worksteal -q -m "not slow"

# Long journeys: whole shops, services that are killed, replays, benches in small.
test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist worksteal -q -m slow

check: $(VENV)/.check lint types layers docs test test-slow

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

layers:
	$(BIN)/lint-imports

docs:
	$(BIN)/mkdocs build --strict --quiet --site-dir site

# Official tracking clients against a live service; they are made in .clients, apart from the rest.
clients: $(VENV)/.test .clients/.made
	SHOAL_CLIENTS="$(CURDIR)/.clients" $(BIN)/python -m pytest -q -p no:xdist tests/clients $(ARGS)

.clients/.python: tests/clients/requirements.txt
	$(PYTHON) -m venv .clients/python
	.clients/python/bin/python -m pip --disable-pip-version-check install --quiet -r tests/clients/requirements.txt
	@touch $@

.clients/.made: .clients/.python tests/clients/package.json tests/clients/requirements-older.txt
	$(PYTHON) -m venv .clients/python-older
	.clients/python-older/bin/python -m pip --disable-pip-version-check install --quiet \
	  -r tests/clients/requirements-older.txt
	@cp tests/clients/package.json .clients/
	@if command -v npm >/dev/null; then npm install --prefix .clients --no-audit --no-fund; \
	  else echo "npm is not installed: clients for node are skipped"; fi
	@touch $@

# Every store, and a shop, on a PostgreSQL server that lives as long as the tests.
test-postgres: $(VENV)/.test
	$(BIN)/python -m tests.postgres_cluster $(BIN)/python -m pytest -q -p no:xdist \
	  tests/contracts tests/journeys/test_postgres.py -k postgres $(ARGS)

bench-speed: $(VENV)/.bench
	$(BIN)/python -m bench.speed $(ARGS)

bench-track: $(VENV)/.bench
	$(BIN)/python -m bench.track $(ARGS)

bench-segments: $(VENV)/.bench
	$(BIN)/python -m bench.segments $(ARGS)

bench-calibration: $(VENV)/.bench
	$(BIN)/python -m bench.calibration $(ARGS)

bench-users: $(VENV)/.bench
	$(BIN)/python -m bench.users $(ARGS)

bench-model: $(VENV)/.bench
	$(BIN)/python -m bench.model $(ARGS)

# Pins: written from a fresh environment that holds every extra.
lock: $(VENV)/.check $(VENV)/.bench
	$(BIN)/python -m pip freeze --exclude-editable > constraints.new
	@echo "Compare constraints.new with constraints.txt, keep the torch pin, then replace it."

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e .
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.demo

$(VENV)/.check: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e '.[test,check]'
	@touch $@ $(VENV)/.test $(VENV)/.demo

$(VENV)/.bench: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) build dist site demo
