# The two commands of this project are `make demo` and `make test`; both install what they need.
# Anything that lasts says what it does. HATCHECK_LAB and HATCHECK_TEST_LAB name the labs, so that two checkouts can live side by side.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SETUP := scripts/setup.sh

.PHONY: help setup demo test test-all test-offline test-lab lint types bench clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(READY) ## system packages and the virtual environment

$(READY): pyproject.toml $(SETUP)
	@bash $(SETUP) $(VENV)
	@touch $@

demo: $(READY) ## five bare nodes: what differs, repair, green; then the report
	@bash scripts/demo.sh $(BIN)

test: lint types test-offline test-lab ## what must hold: lint, types, offline, and on the lab

test-all: export HATCHECK_EXAMPLES := field
test-all: lint types test-offline ## the same with every fault of the field and more examples, about three times as long
	@bash scripts/test_lab.sh $(BIN) lab

test-offline: $(READY) ## tests that need neither root nor a lab
	@$(BIN)/pytest tests_harness -m "not lab" -q -n auto

test-lab: $(READY) ## tests on the real five-node lab
	@bash scripts/test_lab.sh $(BIN) "lab and not field"

lint: $(READY) ## ruff: style and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	@$(BIN)/mypy

bench: $(READY) ## how fast the looking is, as ratios against stock testinfra and plain ssh
	@$(BIN)/python -m bench

clean: ## remove the virtual environment and caches of this checkout (the lab's cache: hatcheck lab down --purge)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
