# Needs python3 (3.11 or newer) with venv, and make. Everything else is installed into .venv from requirements.lock.
# Another interpreter: make PYTHON=python3.12 run

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
ARGS   ?=
# Two at a time is steady on a small machine: the tests start real servers and workers.
JOBS   ?= 2

# No address of a registry in the lock: whoever installs uses their own.
COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help run test check bench chaos lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

run: $(STAMP) ## start everything on this machine with a sample plan; ARGS='--no-samples …' are options of `up`
	@exec $(PY) -m app up $(ARGS)

test: $(STAMP) ## run all tests (ARGS='-k name' narrows them down)
	$(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

check: $(STAMP) ## ruff, mypy, import-linter, Dockerfile and compose file
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache
	$(VENV)/bin/hadolint deploy/Dockerfile
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

bench: $(STAMP) ## run the benchmarks, with a table at the end
	@exec $(PY) -m benchmarks $(ARGS)

chaos: $(STAMP) ## the fault campaign; ARGS='--seconds 300 --seed 7 --kills 60' (see --help)
	@exec $(PY) -m tests.chaos $(ARGS)

lock: $(STAMP) ## pin pyproject.toml's dependencies again, with hashes (needs the network)
	$(PY) -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(COMPILE) --all-extras pyproject.toml -o requirements.lock
	$(COMPILE) --constraint requirements.lock pyproject.toml -o deploy/requirements.lock

clean: ## remove the environment and caches (not .data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The stamp holds the lock's content, so that a checkout that only touches the file installs nothing. An environment
# that was broken off halfway, or moved here from another path, is made afresh.
$(STAMP): requirements.lock
	@if ! cmp -s requirements.lock $(STAMP) || ! $(PY) -c '' 2>/dev/null; then \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 …")' && \
	  echo "Making the environment in $(VENV) …" && \
	  rm -f $(STAMP) && { $(PY) -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV); } && \
	  $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock; \
	fi
	@cp requirements.lock $(STAMP)
