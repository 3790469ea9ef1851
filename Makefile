# HASTE server. All set-up happens by itself; `make help` lists what there is.

SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
# Each level holds the ones before it; a stamp is older than these files when pip has to run again.
BASE := $(VENV)/base.stamp
TEST := $(VENV)/test.stamp
DEV := $(VENV)/dev.stamp
INSTALLED_FROM := pyproject.toml setup.py constraints.txt tools/set_up.sh
# Four test files at a time, on two cores too: half of the time of a test is waiting. Each has servers of its own.
SHARED_OUT := --numprocesses 4 --dist loadfile --no-loadscope-reorder
# Whoever starts many programs has our own code compiled once, and not by each of them.
export PYTHONDONTWRITEBYTECODE :=
# More options or test files for pytest, as in: make test ARGS='-k tier tests/unit'
ARGS :=

.PHONY: help demo test test-all lint style layout types imports format screenshots dev lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: $(BASE) ## Score and tier a simulated experiment, with nothing else installed
	$(BIN)/haste demo

test: $(TEST) ## Run the tests against real RabbitMQ and MariaDB (ten to fifteen minutes)
	@tools/install_test_services.sh
	$(BIN)/python -m pytest $(SHARED_OUT) -m "not slow" --hypothesis-profile quick $(ARGS)

test-all: $(TEST) ## Run the tests, the slow proofs, and the unit tests on other Pythons (up to an hour)
	@tools/install_test_services.sh
	@tools/install_tus_js.sh
	$(BIN)/python -m pytest $(SHARED_OUT) --hypothesis-profile thorough $(ARGS)
	tools/test_on_other_pythons.sh

lint: style layout types imports ## Check style, layout, types and import rules

style: $(DEV)
	$(BIN)/ruff check .

layout: $(DEV)
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy

imports: $(DEV)
	$(BIN)/lint-imports

format: $(DEV) ## Lay the code out and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

screenshots: $(TEST) ## Take the pictures of the pages in docs/images anew (two minutes)
	@tools/install_test_services.sh
	$(BIN)/python -m tests.browser.screenshots docs/images

dev: $(DEV) ## Set up for development, with the hooks that check each commit
	$(BIN)/pre-commit install

lock: ## Write the newest versions that work into constraints.txt
	tools/lock.sh

clean: ## Remove .venv and all that was made by these commands
	rm -rf $(VENV) $(VENV)-* .haste haste-demo build dist *.egg-info .hypothesis .*_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BASE): $(INSTALLED_FROM)
	@tools/set_up.sh base

$(TEST): $(INSTALLED_FROM)
	@tools/set_up.sh test

$(DEV): $(INSTALLED_FROM)
	@tools/set_up.sh dev
