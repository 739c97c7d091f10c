# The two commands of the README: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# Data and runs of the demonstration; remove the folder to start afresh.
DEMO := papermill_runs/runs/demo
STORE := stores/synthetic
NOTEBOOKS := $(wildcard notebooks/*.ipynb)

.PHONY: demo test lint bench lab clean

demo: .venv/installed
	@test -d $(STORE) || $(BIN)/hacm prepare synthetic $(STORE)
	@mkdir -p $(DEMO)
	$(BIN)/papermill notebooks/03_pretraining.ipynb $(DEMO)/03_pretraining.ipynb -k python3 \
	    -f papermill_runs/params/demo.yaml -p data $(STORE) -p run_dir $(DEMO)/run
	$(BIN)/papermill notebooks/04_evaluation.ipynb $(DEMO)/04_evaluation.ipynb -k python3 \
	    -p data $(STORE) -p run_dir $(DEMO)/run
	@echo "The executed notebooks are in $(DEMO): open them with \`$(BIN)/jupyter lab $(DEMO)\`"
	@$(BIN)/hacm show $(DEMO)/run

test: .venv/installed lint
	$(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300 tests notebooks

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/python -m tests.benchmarks

lab: .venv/installed
	$(BIN)/jupyter lab notebooks

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv $(STORE) $(DEMO)
