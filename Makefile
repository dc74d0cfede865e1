# Needs make and a Python of 3.11 to 3.13 with venv; everything else comes hash-pinned from requirements.txt.
.DEFAULT_GOAL := help
.PHONY: help run serve test lint bench demo lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PRODUCT_READY := $(VENV)/ready
TOOLS_READY := $(VENV)/tools-ready

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(PRODUCT_READY)  ## do whatever is due for every product: ingest, train, score, deploy, diagnose, report
	@$(BIN)/python fullprocess.py

serve: $(PRODUCT_READY)  ## serve the pages and the API on http://127.0.0.1:8000 (gunicorn.conf.py says how)
	@$(BIN)/gunicorn

demo: $(PRODUCT_READY)  ## replay twelve months in a scratch folder, with drift in the seventh (three minutes)
	@$(BIN)/python demo/replay.py

test: $(TOOLS_READY)  ## run all tests (those that need chromium, cron or wrk are skipped where these are not)
	@$(BIN)/python -m pytest

lint: $(TOOLS_READY)  ## check style and likely mistakes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

bench: $(TOOLS_READY)  ## measure speed beside others, and how often the decisions are right (an hour and a half)
	@$(BIN)/python -m compileall -q $(VENV)/lib churn . -x 'node_modules' >/dev/null 2>&1; $(BIN)/python demo/bench.py

lock: $(TOOLS_READY)  ## pin anew what pyproject.toml asks for, with hashes, for Python 3.11 and later
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --upgrade --quiet --output-file requirements.txt
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --upgrade --quiet --constraint requirements.txt --output-file requirements-dev.txt

clean:  ## remove the environment; data, models and logs stay
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "this needs Python 3.11 or later; say which with: make run PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(PRODUCT_READY): requirements.txt | $(BIN)/python
	@echo "installing the packages of requirements.txt into $(VENV) (about a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(TOOLS_READY): requirements-dev.txt $(PRODUCT_READY)
	@echo "installing the packages of requirements-dev.txt into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
