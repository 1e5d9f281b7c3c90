# What a person runs, and CI with them. `make demo` and `make test` do all the set-up they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint package bench notebook clean

# A change of any of these is a new installation, with the kernels compiled again.
SOURCES := pyproject.toml setup.py $(wildcard csrc/*)

demo: $(VENV)/demo.stamp
	$(BIN)/torchdropout verify torch.nn:Dropout
	@echo
	$(BIN)/torchdropout verify examples/notebook_models.py:JustDropoutModelImpl; test $$? -eq 1
	@echo
	$(BIN)/torchdropout verify --strict torchdropout.nn:Dropout

# One thread a worker: the tests are spread over the cores already.
test: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not slow"

test-slow: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

lint: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The source distribution, a wheel made from it, and each installed where nothing else is.
package: $(VENV)/test.stamp
	PYTHON=$(BIN)/python bash tests/packaging.sh

# The performance section of the README, measured; then the plots of the docs.
bench: $(VENV)/test.stamp
	$(BIN)/python benchmarks/table.py
	$(BIN)/python benchmarks/table.py --backend avx2
	$(BIN)/python benchmarks/forward.py
	$(BIN)/python benchmarks/forward_backward.py
	$(BIN)/python benchmarks/plot.py

# Writes examples/dropout.ipynb again, executed.
notebook: $(VENV)/test.stamp
	$(BIN)/python examples/build_notebook.py

$(VENV)/demo.stamp: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[verify]"
	touch $@

$(VENV)/test.stamp: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
