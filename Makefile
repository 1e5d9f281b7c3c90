# What a person runs, and CI with them. `make demo` and `make test` do all the set-up they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-integration test-slow test-torch test-triton test-peers gpu gpu-quick bench-gpu mutants power checks docs docs-links shown lint words package release bench bench-family
.PHONY: notebook clean

# A change of any of these is a new installation, with the kernels compiled again.
SOURCES := pyproject.toml setup.py packages/audit/pyproject.toml $(wildcard csrc/*)

demo: $(VENV)/demo.stamp
	$(BIN)/torchdropout verify torch.nn:Dropout
	@echo
	$(BIN)/torchdropout verify examples/notebook_models.py:JustDropoutModelImpl; test $$? -eq 1
	@echo
	$(BIN)/torchdropout verify --strict torchdropout.nn:Dropout
	@echo
	$(BIN)/torchdropout audit --no-config examples/mistakes.py; test $$? -eq 1

# One thread a worker: the tests are spread over the cores already.
test: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not integration and not slow and not peers"

test-integration: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "integration and not slow and not peers"

test-slow: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow and not peers"

# The quick and the integration tests on another torch, in an environment of its own below build/:
#   make test-torch TORCH=2.15.0 PYTHON=python3.13
test-torch:
	@test -n "$(TORCH)" || { echo "make test-torch: say which, as TORCH=2.15.0 or TORCH=newest"; exit 2; }
	PYTHON=$(PYTHON) bash tests/other_torch.sh $(TORCH)

# Triton's kernels without a GPU, in its interpreter and compiled ahead of time, in an environment of
# its own below build/:
#   make test-triton TORCH=2.13.0 TRITON=3.7.1
test-triton:
	PYTHON=$(PYTHON) bash tests/triton.sh $(or $(TORCH),newest) $(or $(TRITON),newest)

# What needs a GPU, with the torch and the Triton that PYTHON has: tests, and the table of
# docs/gpu.md. No environment is made: torch's build is that of the GPU.
# The sources need no installation, and so may have no kernels for the CPU, which a warning says.
gpu:
	PYTHONPATH=src:packages/audit/src $(PYTHON) -m pytest -m gpu \
		-W "ignore:torchdropout has no compiled kernels:RuntimeWarning" tests/gpu

# A verdict in five minutes: build/gpu-quick.md and build/gpu-quick.json.
gpu-quick:
	PYTHONPATH=src:packages/audit/src $(PYTHON) benchmarks/gpu_quick.py

bench-gpu:
	PYTHONPATH=src $(PYTHON) benchmarks/gpu.py

# The dropouts of other packages: docs/found.md.
test-peers: $(VENV)/test.stamp
	$(BIN)/python -m pip install --quiet --editable ".[dev,peers]"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto tests/peers

# Small changes of the sources, one at a time, and whether a quick test notices: COUNT of them (200), drawn
# with SEED (0). Takes hours; goes on where it was stopped. build/mutants/SEED.txt is the table.
mutants: $(VENV)/test.stamp
	$(BIN)/python tests/mutants.py --count $(or $(COUNT),200) --seed $(or $(SEED),0)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/words.py
	$(BIN)/torchdropout audit
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

# The phrases that docs/style.md replaces, wherever they still are.
words:
	$(PYTHON) docs/words.py

# The source distribution, and a wheel made from it, installed where nothing else is; they are kept in
# DIST, if it is given.
package: $(VENV)/test.stamp
	PYTHON=$(BIN)/python bash tests/packaging.sh $(DIST)

# The same, kept in dist/. On Linux for systems as old as torch's own wheels allow: with a compiler
# that makes a wheel which needs newer ones there is no release. Nothing is uploaded.
release: $(VENV)/test.stamp
	PYTHON=$(BIN)/python bash tests/packaging.sh dist $(if $(filter Linux,$(shell uname -s)),manylinux_2_28_$(shell uname -m))

# The tables of docs/performance.md, measured; then the data of its plots.
bench: $(VENV)/test.stamp
	$(BIN)/python benchmarks/table.py
	$(BIN)/python benchmarks/table.py --backend avx2
	$(BIN)/python benchmarks/operations.py forward
	$(BIN)/python benchmarks/operations.py forward_backward
	$(BIN)/python benchmarks/plot.py --keep

# The family compared with the dropouts of other packages, which are installed for it: the column of
# this processor's maker in docs/family/peers.md.
bench-family: $(VENV)/test.stamp
	$(BIN)/python -m pip install --quiet --editable ".[dev,peers]"
	$(BIN)/python benchmarks/family.py

# The power and the false alarms of the verifier, measured: docs/power.md. Takes hours.
power: $(VENV)/test.stamp
	$(BIN)/python benchmarks/power.py curves
	$(BIN)/python benchmarks/power.py false-alarms
	$(BIN)/python benchmarks/power.py page
	$(BIN)/python tests/verify/tables.py zoo --all

# Writes docs/checks/, docs/rules.md and docs/audit/precision.md from the checks, the rules, their
# examples and labels; the signatures of this library, for the audit and for a test; and what the
# verifier reports on dropouts that the tables of docs/power/ lack.
checks: $(VENV)/test.stamp
	$(BIN)/python packages/audit/make_signatures.py
	$(BIN)/python docs/make_checks.py
	$(BIN)/python docs/make_rules.py
	$(BIN)/python docs/make_precision.py
	$(BIN)/python tests/signatures.py > tests/signatures.txt
	$(BIN)/python tests/verify/tables.py ours
	$(BIN)/python tests/verify/tables.py zoo

# The site: build/site/index.html, with the pictures it shows. A warning is an error. Then the tests of
# the site, in a browser where there is one, and of the notebook that it shows.
docs: $(VENV)/test.stamp
	$(BIN)/python -m sphinx -q -W --keep-going -j auto -b html -d build/doctrees docs build/site
	SITE=build/site OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m slow tests/docs tests/test_examples.py -k "site or notebook or pages"

# What README and Getting started show, from the programs: two pictures and what commands print.
shown: $(VENV)/test.stamp
	$(BIN)/python docs/draw.py readme
	$(BIN)/python docs/make_shown.py

# Whether the links to other sites still lead somewhere. Needs a network.
docs-links: $(VENV)/test.stamp
	$(BIN)/python -m sphinx -q -b linkcheck -d build/doctrees docs build/links

# Executes examples/dropout.ipynb, and stores its outputs.
notebook: $(VENV)/test.stamp
	$(BIN)/python examples/run_notebook.py

# Torch is installed once, and the kernels are compiled once, with that: for a build of its own, pip
# would fetch and unpack another torch.
$(VENV)/torch.stamp:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "torch>=2.10" "setuptools>=77"
	touch $@

$(VENV)/demo.stamp: $(SOURCES) | $(VENV)/torch.stamp
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[all]" --editable packages/audit
	touch $@

# Both are installed: what is missing of their extras is added.
$(VENV)/test.stamp: $(VENV)/demo.stamp
	$(BIN)/python -m pip install --quiet "torchdropout[dev]" "torchdropout-audit[lsp]"
	touch $@

clean:
	rm -rf $(VENV) build dist packages/audit/build .hypothesis .mypy_cache .pytest_cache .ruff_cache
