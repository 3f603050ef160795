# One command each: a try-on, the tests, the lessons. The environment in .venv is made on first use and again
# only when pyproject.toml or requirements.lock changed. With uv on the PATH that takes a minute or two.

PYTHON ?= python3
TORCH ?=
WHEELS ?=
MIN_PYTHON := 3.11
BIN := .venv/bin
STAMP := .venv/.installed
# `make wheels` writes the folder WHEELS; every other command installs from it, with pip alone and without a network.
OFFLINE := $(if $(filter wheels,$(MAKECMDGOALS)),,$(WHEELS))
UV := $(if $(OFFLINE),,$(shell command -v uv 2>/dev/null))

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lab course book slides wheels env lock clean check-python
.DELETE_ON_ERROR:

demo test test-fast course book slides: export HF_HUB_OFFLINE = 1

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "PYTHON=python3.13  makes the environment with that Python; TORCH=cpu (Linux, needs uv) installs torch without CUDA;"
	@echo "WHEELS=folder  installs from a folder that make wheels has written, without a network."

demo: $(STAMP)  ## dress a person: prints where the pictures are
	@$(BIN)/ladi-mini demo

test: $(STAMP)  ## everything that is checked: style, then all tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/ladi-mini course check
	@$(BIN)/python -m pytest

test-fast: $(STAMP)  ## the quick tests, up to the first failure, in a few minutes
	@$(BIN)/python -m pytest -q -x -m "not slow and not browser"

lab: $(STAMP)  ## open the lessons in JupyterLab
	@$(BIN)/jupyter-lab notebooks

course: $(STAMP)  ## execute the lessons that changed and write their notebooks
	@$(BIN)/ladi-mini course build

book: $(STAMP)  ## make the book from the lessons and notebooks, in build/book/html
	@$(BIN)/ladi-mini course book

slides: $(STAMP)  ## make slides of every lesson, in build/slides
	@$(BIN)/ladi-mini course slides

wheels: $(STAMP)  ## write the folder WHEELS (wheels) from which machines like this one install without a network
	@$(BIN)/python ladi_mini/course/wheels.py $(if $(TORCH),--torch $(TORCH)) "$(or $(WHEELS),wheels)"

env: $(STAMP)  ## make or renew the environment in .venv, nothing else

lock:  ## take the newest releases into requirements.lock (needs uv)
	@uv pip compile --quiet --universal --fork-strategy fewest --python-version $(MIN_PYTHON) --all-extras --upgrade \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-index-annotation \
		-o requirements.lock pyproject.toml

clean:  ## remove the environment, build outputs and caches, never weights or results
	@rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What follows makes the environment. Each check says in one sentence what was found and what to do.
comma := ,

define CHECK_TORCH
if [ -n "$(TORCH)" ] && [ -z "$(UV)$(OFFLINE)$(filter wheels,$(MAKECMDGOALS))" ]; then \
	echo "TORCH=$(TORCH) needs uv, which is not on the PATH: install uv, or leave TORCH away to get the usual torch." >&2; \
	exit 1; \
fi
endef

define CHECK_PYTHON
found=$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || found=; \
case "$$found" in \
	[0-9]*.[0-9]*) what="$(PYTHON) is Python $$found" ;; \
	*) what="$(PYTHON) was not found or does not start"; found=0.0 ;; \
esac; \
need=$(MIN_PYTHON); major=$${found%%.*}; minor=$${found#*.}; \
if [ "$$major" -lt $${need%%.*} ] || { [ "$$major" -eq $${need%%.*} ] && [ "$$minor" -lt $${need#*.} ]; }; then \
	echo "$$what, but ladi_mini needs Python $(MIN_PYTHON) or newer: install one and name it, as in make demo PYTHON=python3.13." >&2; \
	exit 1; \
fi
endef

check-python:
	@$(CHECK_PYTHON)

# The stamp comes last, so that an installation that stopped half-way is taken up again.
$(STAMP): pyproject.toml requirements.lock
	@$(CHECK_TORCH)
	@if ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < ($(subst .,$(comma) ,$(MIN_PYTHON))))' 2>/dev/null; then \
		$(CHECK_PYTHON); \
		rm -rf .venv; \
		if [ -n "$(UV)" ]; then uv venv --quiet --seed --python "$(PYTHON)" .venv; else "$(PYTHON)" -m venv .venv; fi; \
	fi
	@echo "Installing into .venv, once; torch is the large part."
	@if [ -n "$(OFFLINE)" ]; then \
		$(BIN)/python ladi_mini/course/wheels.py --fits "$(OFFLINE)" && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --find-links "$(OFFLINE)" \
			-c requirements.lock -e '.[test,book]'; \
	elif [ -n "$(UV)" ]; then \
		uv pip install --python $(BIN)/python $(if $(TORCH),--torch-backend=$(TORCH)) -c requirements.lock -e '.[test,book]'; \
	else \
		$(BIN)/python -m pip install --disable-pip-version-check -c requirements.lock -e '.[test,book]'; \
	fi
	@touch $@
