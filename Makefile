# Needs python3 (3.11 or newer) with venv, and make. Everything else is installed into .venv from requirements.lock.
# Another interpreter: make PYTHON=python3.12 run

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
# What the environment was made from, and where, as one word.
MADE_OF := $(shell { cat requirements.lock pyproject.toml; echo '$(CURDIR) $(abspath $(VENV))'; } | cksum | tr ' ' -)
ARGS   ?=
# Two at a time is steady on a small machine: the tests start real servers and workers.
JOBS   ?= 2

# No address of a registry in the lock: whoever installs uses their own.
COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

PIP   := $(PY) -m pip install --disable-pip-version-check --progress-bar off --no-deps
COUNT := /^FAILED$$/ { exit 1 } /^Collecting / && ++n % 10 == 0 { print "  " n " packages" } \
  /^Installing / { print "  installing them" } { fflush() }
# An environment's scripts name its interpreter by path: one that was moved here doesn't work.
IN_PLACE := $(PY) -c '' 2>/dev/null && head -n 2 $(VENV)/bin/pip | grep -q '[!"]$(abspath $(VENV))/bin/python'

.DEFAULT_GOAL := help
.PHONY: help run test format check bench chaos lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

run: $(STAMP) ## start everything on this machine with a sample plan; ARGS='--no-samples …' are options of `up`
	@exec $(PY) -m app up $(ARGS)

test: $(STAMP) ## run all tests (ARGS='-k name' narrows them down)
	$(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

format: $(STAMP) ## put imports and layout in order (ruff)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

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

# By content, not by time: a checkout that only touches the files installs nothing. An environment that was broken off
# halfway, or moved here from another path, is made afresh; one that is linked here is somebody else's, and used as it is.
ifeq (,$(shell test -L $(VENV) && echo linked)$(filter $(MADE_OF),$(shell cat $(STAMP) 2>/dev/null)))
.PHONY: $(STAMP)
endif
$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 …")'
	@test ! -L $(VENV) && mkdir -p $(VENV) 2>/dev/null && test -w $(VENV) || { echo "Nothing can be written to $(VENV). Name a directory of yours: make VENV=/somewhere/else …" >&2; exit 1; }
	@echo "Making the environment in $(VENV); it takes a minute or two …"
	@rm -f $(STAMP) && { $(IN_PLACE) || $(PYTHON) -m venv --clear $(VENV); }
	@# pip says nothing readable about a hundred packages: count them.
	@{ $(PIP) --require-hashes -r requirements.lock || echo FAILED; } | awk '$(COUNT)'
	@$(PIP) --quiet --no-build-isolation --editable .
	@echo '$(MADE_OF)' > $(STAMP)
