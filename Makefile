# On a fresh machine:  make demo   make cloud-demo   make test        While you work:  make check
#
# Needs python3 (3.10 or newer) with venv, and make. Everything is installed into .venv from
# requirements/*.lock, with uv if it is available, otherwise with pip. Stamps record what is installed.
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

# Container images often forbid Python to keep what it compiled; every process would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo cloud-demo test containers browser system check lint ruff types layers spelling dockerfile template view panel labextension unit versions sim chaos mutations figures bench lab docs lock format clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo      run the quickstart notebook here: no account, no server'
	@echo 'make cloud-demo  run a notebook on Fargate Spot in a stand-in for AWS: no account, no docker'
	@echo 'make test      run all tests'
	@echo 'make check     run lint, types, layers, unit tests, a quick simulation: a minute'
	@echo 'make format    format the code and apply fixes with ruff'
	@echo 'make versions  run unit tests and quickstart on the oldest and newest other Python found'
	@echo 'make sim       simulate more seeded worlds (N=200 FROM=0)'
	@echo 'make chaos     kill, stop and terminate the real processes of sessions (N=200 FROM=0)'
	@echo 'make mutations plant bugs; the simulation and the tests must find each'
	@echo 'make figures   compute what the protocol costs, simulated'
	@echo 'make bench     run the benchmarks, with peers for comparison'
	@echo 'make browser   run the tests in JupyterLab and Chromium'
	@echo 'make labextension  build the lab extension (needs node)'
	@echo 'make panel     build burst_magic/ui/view.js from labextension/src'
	@echo 'make lab       open the executed quickstart in JupyterLab'
	@echo 'make docs      regenerate docs/reference.md, pictures and types of the panel from the code'
	@echo 'make lock      regenerate requirements/*.lock from pyproject.toml'
	@echo 'make clean     remove .venv, build output and caches'

# ---- installation -----------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo 'burst_magic needs Python 3.10 or newer; choose one: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo 'this Python cannot create virtual environments; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }

# Each set is a superset of its prerequisite, so that -j never runs two installers at once.
$(STAMPS)/demo: requirements/demo.lock requirements/install.sh pyproject.toml | $(BIN)/python
	@$(INSTALL) requirements/demo.lock
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: requirements/dev.lock $(STAMPS)/demo
	@$(INSTALL) requirements/dev.lock
	@touch $@

$(STAMPS)/cloud: requirements/cloud.lock $(STAMPS)/demo
	@$(INSTALL) requirements/cloud.lock
	@touch $@

$(STAMPS)/lab: requirements/lab.lock $(STAMPS)/demo
	@$(INSTALL) requirements/lab.lock
	@touch $@

$(STAMPS)/browser: requirements/browser.lock $(STAMPS)/dev
	@$(INSTALL) requirements/browser.lock
	@touch $@

# What builds and checks the view: compilers and linters, nothing that a user installs.
$(STAMPS)/node: labextension/package-lock.json requirements/node.sh
	@sh requirements/node.sh
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/bench: requirements/bench.lock $(STAMPS)/dev
	@$(INSTALL) requirements/bench.lock
	@touch $@

# A server of the tests with an environment of its own: its botocore is not ours.
$(STAMPS)/ministack: requirements/ministack.lock $(STAMPS)/dev
	@echo 'installing requirements/ministack.lock'
	@$(PYTHON) -m venv build/ministack
	@build/ministack/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/ministack.lock
	@touch $@

# The lab extension, where JUPYTER_PATH and wheels find it. Not committed: its files are named by their hashes.
SHARE := build/share/jupyter
$(SHARE)/labextensions/burst-magic/package.json: $(wildcard labextension/src/*.ts labextension/style/*.css) burst_magic/ui/view.css labextension/package.json labextension/tsconfig.json labextension/tsconfig.build.json $(STAMPS)/node $(STAMPS)/lab
	@mkdir -p build && echo 'building the lab extension'
	@cd labextension && rm -rf lib && node_modules/.bin/tsc -p tsconfig.build.json && ../$(BIN)/jupyter-builder build . >../build/labextension.log 2>&1 || { cat ../build/labextension.log; exit 1; }
	@touch $@

# What takes minutes, one by one on all cores; what is quick, more at a time, for a part of it waits for servers and
# processes of its own: there a file's tests stay together until a core idles, since what they import and set up is needed
# once. What has dear fixtures (stand-in clouds, kernels, workers), file by file and five at a time, for much of it is waiting.
# Then the containers, which share one machine-wide store of images, and JupyterLab in a browser, file by file. The longest
# come first, so that no core idles beside the last one.
LONG := tests/endurance
QUICK := tests/unit tests/house tests/simulation
QUICKLY = $(BIN)/python -m pytest -q -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist worksteal
BY_FILE := tests/kernel tests/aws/bursts tests/aws/sandbox tests/contract
CONTAINERS := tests/aws/containers
IN_BROWSER := tests/browser

# ---- the two commands -------------------------------------------------------------------------------------------

demo: $(STAMPS)/demo
	@$(BIN)/python notebooks/demo.py

# The notebook and the stand-in are part of the package: this is what `burst sandbox --demo` does anywhere.
cloud-demo: $(STAMPS)/cloud
	@mkdir -p build
	@cd build && '$(CURDIR)/$(BIN)/burst' sandbox --demo

test: $(STAMPS)/dev $(STAMPS)/ministack system
	@$(BIN)/python tests/versions.py
	@$(BIN)/python -m pytest -q -n auto --maxschedchunk 1 $(PYTEST_FLAGS) $(LONG)
	@$(QUICKLY) $(PYTEST_FLAGS) $(QUICK)
	@$(BIN)/python -m pytest -q -n 5 --dist loadfile --no-loadscope-reorder $(PYTEST_FLAGS) $(BY_FILE)
	@$(MAKE) --no-print-directory containers view browser

containers: $(STAMPS)/dev $(STAMPS)/ministack
	@$(BIN)/python -m pytest -q $(PYTEST_FLAGS) $(CONTAINERS)

browser: $(STAMPS)/browser labextension
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(PYTEST_FLAGS) $(IN_BROWSER)

# Programs that come with the system, not from a package index; `make test` installs those that are missing.
system:
	@sh requirements/system.sh

# ---- every day --------------------------------------------------------------------------------------------------

# Side by side: most linters keep one core busy, and so does each process of the tests.
check:
	@$(MAKE) --no-print-directory -j2 lint unit

# One target each, so that `make -k check` reports everything at once and -j runs them in parallel.
lint: ruff types layers spelling dockerfile template view

ruff: $(STAMPS)/dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { $(BIN)/ruff format --check .; echo 'make format'; exit 1; }

types: $(STAMPS)/dev
	@$(BIN)/mypy

layers: $(STAMPS)/dev
	@$(BIN)/lint-imports --config .importlinter

spelling: $(STAMPS)/dev
	@$(BIN)/codespell

dockerfile: $(STAMPS)/dev
	@$(BIN)/hadolint Dockerfile.worker burst_magic/environment/Dockerfile.image

template: $(STAMPS)/dev
	@$(BIN)/cfn-lint burst_magic/aws/stack.yaml

# TypeScript: types, lint, tests, and that what was built from it is fresh.
view: $(STAMPS)/node
	@cd labextension && npm run --silent types && npm run --silent lint && npm run --silent test
	@mkdir -p build && cd labextension && node build.mjs ../build/view.js
	@cmp -s build/view.js burst_magic/ui/view.js || { echo 'burst_magic/ui/view.js is stale: make panel' >&2; exit 1; }

labextension: $(SHARE)/labextensions/burst-magic/package.json

panel: $(STAMPS)/node
	@cd labextension && node build.mjs ../burst_magic/ui/view.js

unit: $(STAMPS)/dev
	@$(QUICKLY) --hypothesis-profile quick $(PYTEST_FLAGS) $(QUICK)

format: $(STAMPS)/dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

sim: $(STAMPS)/dev
	@$(BIN)/python tests/worlds.py $(FROM) $(N)

chaos: $(STAMPS)/dev
	@$(BIN)/python tests/chaos.py $(FROM) $(N)

mutations: $(STAMPS)/dev
	@$(BIN)/python tests/mutations.py

figures: $(STAMPS)/dev
	@$(BIN)/python tests/figures.py

versions: $(STAMPS)/dev
	@$(BIN)/python tests/versions.py

bench: $(STAMPS)/bench $(STAMPS)/browser
	@$(BIN)/python -m benchmarks

build/quickstart.ipynb: notebooks/quickstart.ipynb $(STAMPS)/demo
	@$(BIN)/python notebooks/demo.py

# Uses the demo's own directories, so that the notebook finds its sessions again.
# Jupyter refuses to run as root unless told otherwise; a container has no other user. Its terminals find `burst`.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
lab: $(STAMPS)/lab labextension build/quickstart.ipynb
	@JUPYTER_PATH='$(CURDIR)/$(SHARE)' BURST_CONFIG_DIR='$(CURDIR)/build/demo/config' BURST_DATA_DIR='$(CURDIR)/build/demo/data' PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter lab $(AS_ROOT) $(LAB_FLAGS) build/quickstart.ipynb

docs: $(STAMPS)/demo
	@$(BIN)/python docs/reference.py
	@$(BIN)/python docs/pictures.py
	@$(BIN)/python labextension/frame_types.py

# Without hosts, and for all supported Pythons at once: docs/decisions/0001-locks-without-hosts.md.
lock: $(STAMPS)/demo
	@sh requirements/lock.sh $(VENV)

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
