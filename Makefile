# Two commands for a newcomer: `make demo`, `make test`. Both install what they need into .venv first.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
RUN := outputs/demo/$(shell date +%Y-%m-%d_%H-%M-%S)

# See src/toonlab/app/cli.py.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test lint slow help

help:
	@echo "make demo   install, train on the embedded data, score, and write a before/after picture"
	@echo "make test   install, lint, check types, run the tests, two at a time; JOBS=8 for more"
	@echo "make slow   the tests that take minutes"
	@echo "make lint   style and types only"

demo: export TOONLAB_OUTPUTS = $(CURDIR)/outputs
demo: .venv/installed
	$(BIN)/python src/train.py experiment=demo hydra.run.dir=$(RUN)
	$(BIN)/python src/eval.py ckpt=$(RUN) output=$(RUN)/eval
	$(BIN)/python src/stylize.py ckpt=$(RUN) input=outputs/.cache/demo/photographs output=$(RUN)/painted \
		sheet=$(RUN)/before_after.png
	@echo "Before and after: $(CURDIR)/$(RUN)/before_after.png"

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

slow: .venv/installed-dev
	$(BIN)/python -m pytest -m slow

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "toonlab needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# pinned by constraints.txt; the default torch wheel brings CUDA (6 GB, some minutes) and runs on CPUs too
.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@
