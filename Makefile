# Two commands on a fresh machine:  make demo   make test        All day long:  make check
#
# Needs python3 (3.10 or newer) with venv, and make. Everything is installed into .venv from
# requirements/*.lock, with uv if it can be had and with pip if not; stamps remember what is there.
# Works with GNU make 3.81 (macOS) and with -j.

PYTHON ?= python3
PYTEST_FLAGS ?=
LAB_FLAGS ?=
N ?= 200
FROM ?= 0

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
INSTALL := sh requirements/install.sh $(VENV)

.PHONY: help demo test check lint ruff types layers spelling unit versions sim mutations figures bench lab docs lock format clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo      the quickstart notebook, executed here: no account, no server'
	@echo 'make test      everything that is tested'
	@echo 'make check     lint, types, layers, unit tests, a quick simulation: under a minute'
	@echo 'make format    let ruff format and fix what it can'
	@echo 'make versions  unit tests and quickstart on the oldest and newest other Python found'
	@echo 'make sim       N=200 FROM=0: more seeded worlds'
	@echo 'make mutations plants bugs in the protocol; the simulation finds each'
	@echo 'make figures   what the protocol costs, simulated'
	@echo 'make bench     the figures, beside the peers'
	@echo 'make lab       JupyterLab on the executed quickstart'
	@echo 'make docs      docs/reference.md and the pictures of docs/protocol.md anew from the tables of the code'
	@echo 'make lock      requirements/*.lock anew from pyproject.toml'
	@echo 'make clean     remove .venv, build and caches'

# ---- what is installed ------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo 'burst_magic needs Python 3.10 or newer; name one: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo 'this Python cannot make environments; Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }

# Each set is a superset of the one it waits for, so that -j never runs two installers at once.
$(STAMPS)/demo: requirements/demo.lock requirements/install.sh pyproject.toml | $(BIN)/python
	@$(INSTALL) requirements/demo.lock
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: requirements/dev.lock $(STAMPS)/demo
	@$(INSTALL) requirements/dev.lock
	@touch $@

$(STAMPS)/lab: requirements/lab.lock $(STAMPS)/demo
	@$(INSTALL) requirements/lab.lock
	@touch $@

$(STAMPS)/bench: requirements/bench.lock $(STAMPS)/dev
	@$(INSTALL) requirements/bench.lock
	@touch $@

# ---- the two commands -------------------------------------------------------------------------------------------

demo: $(STAMPS)/demo
	@$(BIN)/python notebooks/demo.py

test: $(STAMPS)/dev
	@$(BIN)/python tests/versions.py
	@$(BIN)/python -m pytest $(PYTEST_FLAGS) tests

# ---- all day ----------------------------------------------------------------------------------------------------

check: lint unit

# One target each, so that `make -k check` tells everything at once and -j runs them side by side.
lint: ruff types layers spelling

ruff: $(STAMPS)/dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { $(BIN)/ruff format --check .; echo 'make format'; exit 1; }

types: $(STAMPS)/dev
	@$(BIN)/mypy

layers: $(STAMPS)/dev
	@$(BIN)/lint-imports --config .importlinter

spelling: $(STAMPS)/dev
	@$(BIN)/codespell

unit: $(STAMPS)/dev
	@$(BIN)/python -m pytest -q -n auto $(PYTEST_FLAGS) tests/unit tests/house tests/simulation

format: $(STAMPS)/dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

sim: $(STAMPS)/dev
	@$(BIN)/python tests/worlds.py $(FROM) $(N)

mutations: $(STAMPS)/dev
	@$(BIN)/python tests/mutations.py

figures: $(STAMPS)/dev
	@$(BIN)/python tests/figures.py

versions: $(STAMPS)/dev
	@$(BIN)/python tests/versions.py

bench: $(STAMPS)/bench
	@$(BIN)/python -m benchmarks

build/quickstart.ipynb: notebooks/quickstart.ipynb $(STAMPS)/demo
	@$(BIN)/python notebooks/demo.py

# With the demo's own directories, so that the notebook finds its sessions again.
lab: $(STAMPS)/lab build/quickstart.ipynb
	@BURST_CONFIG_DIR='$(CURDIR)/build/demo/config' BURST_DATA_DIR='$(CURDIR)/build/demo/data' $(BIN)/jupyter lab $(LAB_FLAGS) build/quickstart.ipynb

docs: $(STAMPS)/demo
	@$(BIN)/python docs/reference.py
	@$(BIN)/python docs/pictures.py

# Host-free and for all our Pythons at once: docs/decisions/0001-locks-without-hosts.md.
lock: $(STAMPS)/demo
	@sh requirements/lock.sh $(VENV)

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
