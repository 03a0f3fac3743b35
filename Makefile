# The only recipes; CI calls the same ones. Each does all its set-up on a machine with Python 3.11+, make and a C compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKSPACE ?= workspace/demo
DAGSTER_PORT ?= 3000
MLFLOW_PORT ?= 5000
export OMP_NUM_THREADS ?= 2
# Every process would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick up check docs fuzz bench bench-sim-to-real bench-peers setup freeze clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup  ## the whole pipeline once, on virtual patients (six minutes)
	$(BIN)/plumbline demo --workspace $(WORKSPACE)

# A file stays in one process, because its tests share what they build; files with slow tests come first.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test: setup  ## all tests, on every core
	@sh infra/test-programs.sh
	$(PYTEST) $(PYTEST_ARGS)

test-quick: setup  ## all tests but the slow ones
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

up: setup  ## Dagster and MLflow on localhost
	$(BIN)/python -m orchestration.services.up --workspace $(WORKSPACE) --dagster-port $(DAGSTER_PORT) --mlflow-port $(MLFLOW_PORT)

check: setup  ## format, lint, types, import rules, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory docs

docs: setup  ## the documentation site in build/site, every link checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "documentation: build/site/index.html"

fuzz: setup  ## damaged radiographs, reconstructions and studies (20,000 inputs, about two minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.fuzz $(FUZZ_ARGS)

bench: setup  ## print and store the measurements
	$(BIN)/python -m benchmarks

bench-sim-to-real: setup  ## train on virtual frontal radiographs alone, score on real ones (one GPU, 7 minutes)
	$(BIN)/python -m benchmarks.sim_to_real pack --if-absent
	$(BIN)/python -m benchmarks.sim_to_real run $(SIM_TO_REAL_ARGS)

bench-peers: setup .venv-peers/.ready  ## our renderer beside DiffDRR and gVirtualXRay
	$(BIN)/python -m benchmarks peers

.venv-peers/.ready: benchmarks/peers-requirements.txt
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --constraint infra/constraints.txt 'torch==2.13.0'
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@echo "gVirtualXRay also needs: apt-get install libegl1 libgl1-mesa-dri libxcb-res0 libxcb-ewmh2 libxcb-icccm4 libxcb-composite0 libxcb-xinerama0 libxcb-keysyms1"
	touch $@

setup: $(VENV)/.ready  ## the environment in .venv; every recipe does this by itself

$(VENV)/.ready: pyproject.toml infra/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Plumbline needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV) (about two minutes, once)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint infra/constraints.txt 'torch==2.13.0'
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint infra/constraints.txt --editable '.[dev]'
	touch $@

freeze:  ## write the installed set back as constraints
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' > infra/constraints.new && mv infra/constraints.new infra/constraints.txt

clean:  ## remove what the demo made, keep the environment
	rm -rf workspace
