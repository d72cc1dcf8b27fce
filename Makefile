# `make help` lists what there is. Needs make and Python 3.11, 3.12 or 3.13; everything else is installed into .venv.

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# One look at the index for each missing file is enough, and nothing asks questions.
PIP := $(PY) -m pip --disable-pip-version-check --no-input
WORKERS ?= 2
CHECKS := check-style check-types check-imports check-proto check-docker check-licences check-text

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup dev run test test-slow bench proto lock format check $(CHECKS) clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "make %-12s %s\n", $$1, $$2 }'

# --- installing ------------------------------------------------------------------------------------------------------

setup: $(VENV)/.setup ## .venv with the pinned dependencies and the gatehouse command; free the second time

dev: $(VENV)/.dev ## setup, and the tools of test, check and bench

$(VENV)/.python: | .ci/venv
	@PYTHON='$(PYTHON)' .ci/venv $(VENV)
	@touch $@

$(VENV)/.setup: $(VENV)/.python requirements/training.txt requirements/build.txt pyproject.toml
	@echo "setup: installing the pinned dependencies into $(VENV) (about a minute the first time)"
	@$(PIP) install --quiet --require-hashes --only-binary :all: -r requirements/training.txt -r requirements/build.txt \
		|| { echo "setup: pip could not install requirements/training.txt; its message is above. A mirror is set with PIP_INDEX_URL." >&2; exit 1; }
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@$(PY) -c 'import lightgbm' 2>/dev/null \
		|| { echo "setup: LightGBM cannot be loaded. It needs the OpenMP runtime: apt-get install libgomp1 (Debian), dnf install libgomp (Fedora)." >&2; exit 1; }
	@touch $@
	@echo "setup: $(BIN)/gatehouse is ready"

$(VENV)/.dev: $(VENV)/.setup requirements/dev.txt
	@echo "setup: installing the tools for test, check and bench"
	@$(PIP) install --quiet --require-hashes --only-binary :all: -r requirements/dev.txt
	@touch $@

# --- running ---------------------------------------------------------------------------------------------------------

run: setup ## the service, a short scene played against it by a client, and then the service until Ctrl-C
	@exec $(PY) -m service.scene $(ARGS)

test: dev ## the tests against SQLite and a real PostgreSQL; ARGS="-k words" picks some
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-slow: dev ## the tests that take minutes
	@$(PY) -m pytest -m slow --timeout 1800 $(ARGS)

bench: dev ## the goals of speed beside their peers, in about half an hour; ARGS="--list" tells all benchmarks, ARGS="NAME" runs one
	@$(PY) -m benchmarks.run $(ARGS)

# --- checking --------------------------------------------------------------------------------------------------------

check: dev ## style, types, imports, contract, Dockerfile, licences, texts
	@$(MAKE) --keep-going --no-print-directory $(CHECKS)
	@echo "check: all passed"

check-style: $(VENV)/.dev
	@$(BIN)/ruff check --quiet . && echo "ruff check: passed"
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check . ; exit 1; }
	@echo "ruff format: passed"

check-types: $(VENV)/.dev
	@$(BIN)/mypy service training benchmarks

check-imports: $(VENV)/.dev
	@$(BIN)/lint-imports --no-cache --no-logo

check-proto: $(VENV)/.dev
	@.ci/check-proto

check-docker: $(VENV)/.dev
	@$(BIN)/hadolint Dockerfile && echo "hadolint: passed"

check-licences: $(VENV)/.dev
	@$(PY) .ci/check_licences.py

check-text: $(VENV)/.dev
	@.ci/check-text

# --- writing ---------------------------------------------------------------------------------------------------------

format: dev ## sorts imports, formats Python and .proto
	@$(BIN)/ruff check --quiet --select I --fix . ; $(BIN)/ruff format . && $(BIN)/buf format -w proto

proto: dev ## writes service/pb from proto/
	@$(PY) proto/generate.py

lock: dev ## renews requirements/*.txt from pyproject.toml; UPGRADE=1 moves every version
	@UPGRADE='$(UPGRADE)' .ci/lock

clean: ## removes .venv, caches and build output; keeps var/
	@rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .bench
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
