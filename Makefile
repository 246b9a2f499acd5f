# make demo        set up, fit on embedded data, print where the report is
# make test        set up, run the tests of every room; about 6 minutes on 2 cores
# make test-slow   set up, run the other tests: fits in several processes, checks of
#                  every method, the page in a browser
# make check       set up, check format, lint, types, floors and docstrings
# make docs        set up, build the documentation site into docs/_build/html; warnings are errors

PYTHON ?= python3
BIN := .venv/bin
# Compiled tests are kept on any machine: otherwise every process would compile them again.
# Test files run in order of their names: the last ones are short, so that all workers end together.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 \
    --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-slow check docs format clean

demo: .venv/.installed
	$(BIN)/sepvae demo

test: .venv/.installed
	$(PYTEST) -m 'not slow'

test-slow: .venv/.installed
	$(PYTEST) -m slow

check: .venv/.installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: .venv/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going docs docs/_build/html

format: .venv/.installed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf .venv

# Whatever the tools of this project need, at versions that are known to work together.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("sepvae needs Python 3.11 or newer; try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "installing into .venv (some minutes, about 2 GB; torch is large)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Only the site needs these.
.venv/.docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@
