# make demo    pretrain, fine-tune and distill on the bundled digits, on a CPU
# make test    the test suite; PYTEST_ARGS="-m 'not slow'" for the fast part
# make bench   how fast everything is here, at most 15 minutes; BENCH_ARGS="training_step" for a part
# make lint    ruff and mypy
# make clean   remove the virtual environment and caches; runs/ stays
#
# Another Python:  make test PYTHON=python3.12 VENV=.venv-3.12

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
BENCH_ARGS ?=

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
SOURCES := flags tf_simclr export benchmarks tests $(wildcard run.py)

.DEFAULT_GOAL := help
.PHONY: help demo bench test lint clean

help:  ## Print this list.
	@sed -n 's/^# \{0,1\}//p;/^$$/q' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.run-installed
	$(BIN)/python -m benchmarks.demo

bench: $(VENV)/.run-installed
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

test: $(VENV)/.dev-installed
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev-installed
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make pip run once, and again when the pinned versions change.
$(VENV)/.run-installed: requirements.txt | $(BIN)/python
	@echo "Installing the pinned packages into $(VENV); a few minutes, once."
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.dev-installed: requirements-dev.txt requirements.txt | $(BIN)/python
	@echo "Installing the pinned packages and the test tools into $(VENV); a few minutes, once."
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@ $(VENV)/.run-installed

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { \
	  echo "error: $(PYTHON) is not found. Install Python 3.10 to 3.13, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1). TensorFlow needs Python 3.10 to 3.13;" \
	    "name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "error: $(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
