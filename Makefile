# Synthema: `make demo` and `make test` need Python 3.11 and nothing else.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SYSTEM_PACKAGES := bubblewrap chromium fonts-dejavu-core libseccomp2
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo up test test-all check format bench clean
help:            ## What can be made
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/	/' | expand -t 18

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "Synthema needs Python 3.11; set PYTHON=/path/to/python3.11."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP) --editable '.[demo,dev]'
	@touch $@

$(VENV)/.system: $(VENV)/.dev
	@.ci/system-packages $(SYSTEM_PACKAGES)
	@touch $@

demo: $(VENV)/.demo  ## Four hospitals on this machine answer one question on real patients' data
	$(BIN)/synthema demo

up: $(VENV)/.demo    ## The same federation, left running until Ctrl-C
	$(BIN)/synthema up

test: $(VENV)/.system  ## All tests but the slow ones
	.ci/tests $(BIN)/python -m 'not slow' $(PYTEST)

test-all: $(VENV)/.system  ## All tests
	.ci/tests $(BIN)/python $(PYTEST)

check: $(VENV)/.dev  ## The static gate: format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## Put the code in form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev  ## Measure rounds against a stock Flower deployment
	$(BIN)/python bench/rounds.py

clean:           ## Remove the environment and what runs left
	rm -rf $(VENV) artifacts .synthema
