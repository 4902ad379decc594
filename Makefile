# Everything a newcomer needs, with Python, make and git alone.  PYTHON=python3.12 and VENV=/elsewhere choose others.
PYTHON ?= python3
VENV ?= .venv
STAMP := $(VENV)/.installed
RUN := $(VENV)/bin/python

.PHONY: help demo test conformance lint format lock results

help:
	@echo "make demo     train and evaluate a model on embedded real data; prints figures' paths and the result"
	@echo "make test     install and run the tests"
	@echo "make conformance  hold every config to every promise; make test does so for one of each kind"
	@echo "make lint     ruff (lint, format) and ty (types)"
	@echo "make results  write RESULTS.md from results/"
	@echo "make lock     renew requirements.lock from pyproject.toml"

# The stamp is written last: an interrupted install is taken up again, an existing .venv is brought to the lock.
$(STAMP): requirements.lock pyproject.toml
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP)
	$(RUN) -m experiments.cnn --workdir=runs/demo

test: $(STAMP)
	$(RUN) -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

conformance: $(STAMP)
	GENERA_CONFORMANCE=all $(RUN) -m pytest tests/conformance -n 2 --dist loadgroup $(PYTEST_ARGS)

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m ty check --python $(VENV)

format: $(STAMP)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

results: $(STAMP)
	$(RUN) -m experiments.results

# One file for every Python that is supported (the newest jax needs 3.12), hashes of every wheel, no addresses.
lock:
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check uv
	$(RUN) -m uv pip compile pyproject.toml --quiet --extra test --extra dev --group build \
	  --universal --python-version 3.11 --fork-strategy requires-python --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate --output-file requirements.lock
