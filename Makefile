# Each target makes .venv and installs what it needs on first use, and again when pyproject.toml changed.
#   make train ARGS="--model 16x16 --epochs 5"      make test PYTEST="-n 0 -k matmul"      make test PYTHON=python3.13
#   make train CUDA=13 ARGS="--device cuda"         (or CUDA=12, by the version of the driver)

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
PYTEST ?= -n 2 --dist worksteal
BIN    := $(VENV)/bin
# What pip downloads, a line each, and its errors.
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --progress-bar off
SHOWN  := | awk '/^ *(Downloading|Using cached) .*whl.* \(.*B\)/ { print "  " $$2, $$3, $$4; fflush() }'
SHELL  := bash
.SHELLFLAGS := -o pipefail -c
TORCH  := torch==2.13.0

# What `make cuda-test` runs where. With CuPy itself: both case tables, every row of them, and what uses CuPy in its
# own ways. With the rounding of a device: training and jit.
CUPY          := $(VENV)/cupy/bin/python
CUDA_SOURCES  := $(abspath $(VENV))/cuda-sources
EMULATED      := EMULATED_SOURCES=$(CUDA_SOURCES)
TABLES        := tests/test_cases.py tests/test_jit_cases.py
WITH_CUPY     := tests/test_jit_training.py tests/test_jit_over.py tests/cuda/test_arrays.py \
                 tests/cuda/test_interop.py tests/cuda/test_memory.py tests/cuda/test_real_cupy.py
LIKE_A_DEVICE := tests/test_jit_training.py tests/test_jit_over.py

.PHONY: help train test cuda-test nvrtc-test grid-test slow-test check bench gpu-check docs lint format clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo "make train      train a digit classifier and draw its curves (ARGS=... goes to gradengine train,"
	@echo "                and CUDA=13 or CUDA=12 installs what --device cuda needs)"
	@echo "make test       ruff, mypy, pytest and doctests, on the CPU"
	@echo "make cuda-test  the tests of device cuda, emulated on the CPU, with CuPy itself among them"
	@echo "make nvrtc-test the CUDA sources that they met, compiled for three GPUs"
	@echo "make grid-test  the rows of wide grids that make test and make cuda-test leave out"
	@echo "make slow-test  the same and all other tests that take minutes"
	@echo "make check      check every op's values and gradients on this machine, on every backend"
	@echo "make bench      benchmarks beside PyTorch and JAX, into a new folder under runs/"
	@echo "make gpu-check  tests and benchmarks on this machine's GPU, by PYTHON as it is: nothing is installed"
	@echo "make docs       bring docs/ up to date, and build its pages in build/site"
	@echo "make lint       ruff and mypy;  make format  lets ruff rewrite"
	@echo "make clean      remove .venv, caches and build results"

train: $(VENV)/.train $(CUDA:%=$(VENV)/.cuda%)
	$(BIN)/gradengine train $(ARGS)

check: $(VENV)/.train
	$(BIN)/gradengine check $(ARGS)

test: $(VENV)/.torch lint
	$(BIN)/python -m pytest -m "not slow and not cuda" $(PYTEST) $(ARGS)

# Three runs share the work: docs/cuda.md says what each shows that the others cannot. ARGS may leave one of them
# without a test, of which pytest makes status 5.
cuda-test: $(VENV)/.torch $(VENV)/.test $(VENV)/.cupy
	rm -rf $(CUDA_SOURCES)
	$(EMULATED) $(BIN)/python -m pytest -m "cuda and not slow" $(PYTEST) $(ARGS) \
	    tests $(TABLES:%=--ignore=%) $(LIKE_A_DEVICE:%=--ignore=%) || [ $$? -eq 5 ]
	$(EMULATED) GRADENGINE_EMULATOR_ROUNDING=device \
	    $(BIN)/python -m pytest -m "cuda and not slow" $(PYTEST) $(ARGS) $(LIKE_A_DEVICE) || [ $$? -eq 5 ]
	$(EMULATED) GRADENGINE_TEST_CUDA=cupy GRADENGINE_CPU_BACKEND=numpy GRADENGINE_REQUIRE_TORCH= \
	    $(CUPY) -m pytest -m "cuda and not nightly" $(PYTEST) $(ARGS) $(TABLES) $(WITH_CUPY) || [ $$? -eq 5 ]

# After cuda-test, whose sources it compiles.
nvrtc-test: $(VENV)/.test
	$(BIN)/python -m tests.cuda.nvrtc $(CUDA_SOURCES)

grid-test: $(VENV)/.torch $(VENV)/.test
	$(BIN)/python -m pytest -m "slow and not nightly and not (cuda and grid)" $(PYTEST) $(ARGS)

slow-test: $(VENV)/.torch $(VENV)/.test
	$(BIN)/python -m pytest -m slow --hypothesis-profile=thorough $(PYTEST) $(ARGS)

bench: $(VENV)/.torch $(VENV)/.bench
	$(BIN)/python -m bench $(ARGS)

# Runs where nothing can be installed, so it takes the Python that there is, with CuPy and what else it has.
gpu-check:
	$(PYTHON) -m bench.gpu_check $(ARGS)

docs: $(VENV)/.docs
	$(BIN)/python -m docs.make_jit
	$(BIN)/python -m docs.make_cuda
	$(BIN)/python -m docs.make_numpy
	$(BIN)/python -m docs.make_pytorch_names
	$(BIN)/mkdocs build --quiet --strict

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) gradengine-check.json .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || \
	    { echo "$(PYTHON) was not found. gradengine needs Python 3.11 or later: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "gradengine needs Python 3.11 or later, but $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	           "Name a newer one: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/.train: pyproject.toml $(VENV)/.made
	@echo "Installing what training needs into $(VENV) (downloads 190 MB, takes 600 MB on the disk) ..."
	@$(PIP) --editable '.[numba,train]' $(SHOWN)
	@touch $@

$(VENV)/.cuda%: pyproject.toml $(VENV)/.made
	@echo "Installing CuPy for CUDA $* and what it needs of CUDA into $(VENV) (more than 1 GB) ..."
	@$(PIP) --editable '.[cuda$*]' $(SHOWN)
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.made
	@echo "Installing what the tests need into $(VENV) (downloads 800 MB, most of it CUDA's libraries) ..."
	@$(PIP) --editable '.[numba,train,test]' $(SHOWN)
	@touch $@

# A venv of its own: everything else must work without CuPy. Python 3.12, where there is one, has the newest NumPy.
$(VENV)/.cupy: pyproject.toml $(VENV)/.made
	@echo "Installing CuPy and what its tests need into $(VENV)/cupy (0.7 GB) ..."
	@for python in python3.12 "$$HOME"/.pyenv/versions/3.12.*/bin/python $(PYTHON); do \
	    "$$python" -c "" 2>/dev/null || continue; \
	    rm -rf $(VENV)/cupy; "$$python" -m venv $(VENV)/cupy && break; done
	@$(PIP:$(BIN)/python=$(CUPY)) --editable '.[test-cupy]' $(SHOWN)
	@touch $@

$(VENV)/.bench: pyproject.toml $(VENV)/.made
	@echo "Installing what the benchmarks need into $(VENV) ..."
	@$(PIP) --editable '.[numba,train,bench]' $(SHOWN)
	@touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.made
	@echo "Installing what the documentation needs into $(VENV) ..."
	@$(PIP) --editable '.[numba,docs]' $(SHOWN)
	@touch $@

# Before the extras, so that none of them brings another release. Without it, the tests that need it skip;
# in CI a missing PyTorch is an error. `make clean` forgets that it was tried.
$(VENV)/.torch: Makefile $(VENV)/.made
	@echo "Installing $(TORCH), to compare with (downloads 200 MB to 2 GB, by platform) ..."
	@$(PIP) $(TORCH) $(SHOWN) || if [ -n "$(CI)$(GRADENGINE_REQUIRE_TORCH)" ]; then exit 1; \
	    else echo "PyTorch could not be installed here: comparisons with it are left out."; fi
	@touch $@
