# make demo    the whole way on a small real model: train, export, build, check (and run, where there is a GPU)
# make test    what CI runs: the linters, then ctest, then pytest
# make lint    ruff, mypy, stubtest, clang-format, clang-tidy
# make clean   removes all that the others made
#
# Each is enough on a fresh Debian machine: it makes .venv, installs what it needs there, and builds.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
unexport MAKEFLAGS MAKELEVEL

PYTHON ?= python3
BIN := .venv/bin
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell nproc)

PY_SOURCES := $(shell find python -name '*.py' -o -name '*.pyi')
CPP_SOURCES := $(shell find cpp plugins tests/cpp -name '*.cpp')
CPP_HEADERS := $(shell find cpp plugins tests/cpp -name '*.hpp' -o -name '*.h' -o -name '*.inc' -o -name '*.cu' -o -name '*.cuh')
CMAKE_FILES := $(shell find CMakeLists.txt cpp plugins tests/cpp -name CMakeLists.txt -o -name '*.cmake')
SOURCES := $(PY_SOURCES) $(CPP_SOURCES) $(CPP_HEADERS) $(CMAKE_FILES) pyproject.toml

# The tests on a GPU use pycuda, which is compiled against CUDA: it is installed only where there is a GPU.
GPU := $(shell { nvidia-smi -L || ls /dev/nvidia0; } >/dev/null 2>&1 && echo yes)
ifneq ($(GPU),)
export PATH := $(addsuffix :,$(wildcard /usr/local/cuda/bin))$(PATH)
endif

.PHONY: demo test lint clean
demo: .venv/.demo
	$(BIN)/tf2trt demo --out demo-out --json demo-out/demo.json

test: .venv/.test build/.built .cache/tensorrt/.fetched lint
	cd build && TF2TRT_TEST_LIBRARIES="$(CURDIR)/.cache/tensorrt" \
	  TF2TRT_TEST_SITE="$$(../$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
	  ctest -j $(CMAKE_BUILD_PARALLEL_LEVEL) --output-on-failure --no-tests=error
	TF2TRT_FAKE_CUDA="$(CURDIR)/build/tests/cpp" $(BIN)/python -m pytest

clean:
	rm -rf .venv build dist demo-out .cache .mypy_cache .ruff_cache .pytest_cache
	find python tests tools -name __pycache__ -prune -exec rm -rf {} +

# --- Debian's packages: installed where that is allowed, otherwise named in one line ---------------------------------

define debian_packages
missing=(); \
$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv); \
$(PYTHON) -c 'import os, sysconfig as s; os.stat(s.get_path("include") + "/Python.h")' 2>/dev/null || missing+=(python3-dev); \
command -v g++ >/dev/null || missing+=(g++); \
command -v cmake >/dev/null || missing+=(cmake); \
$(if $(filter libgtest-dev,$(1)),[ -e /usr/include/gtest/gtest.h ] || missing+=(libgtest-dev);) \
$(if $(filter chromium,$(1)),command -v chromium >/dev/null || missing+=(chromium);) \
if [ $${#missing[@]} -gt 0 ]; then \
  install="apt-get install -y --no-install-recommends $${missing[*]}"; \
  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    $$install || { apt-get update && $$install; }; \
  else \
    echo "tf2trt needs these Debian packages: sudo $$install" >&2; exit 1; \
  fi; \
fi
endef

# --- the virtual environment and the package in it -------------------------------------------------------------------

.venv/.made: pyproject.toml
	@$(call debian_packages)
	[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip 'scikit-build-core>=0.10' 'pybind11>=2.13'
	touch $@

pip_install = $(BIN)/python -m pip install -q --no-compile --no-build-isolation -Cbuild-dir=build/python

.venv/.demo: .venv/.made $(SOURCES)
	$(pip_install) ".[demo]"
	touch $@

.venv/.lint: .venv/.made $(SOURCES)
	$(pip_install) ".[cli,lint]"
	touch $@

.venv/.test: .venv/.made $(SOURCES)
	@$(call debian_packages,chromium)
	$(pip_install) ".[test,lint]"
	$(if $(GPU),$(BIN)/python -m pip install -q pycuda)
	touch .venv/.lint $@

# --- the C++ library, its program and its tests ----------------------------------------------------------------------

build/compile_commands.json: .venv/.made $(CMAKE_FILES)
	@$(call debian_packages,libgtest-dev)
	cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DTF2TRT_BUILD_TESTS=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
	touch $@

build/.built: build/compile_commands.json $(CPP_SOURCES) $(CPP_HEADERS)
	cmake --build build
	touch $@

# Real TensorRT libraries for the tests that need no GPU.
.cache/tensorrt/.fetched: tests/fetch_tensorrt.py .venv/.made
	$(BIN)/python tests/fetch_tensorrt.py .cache/tensorrt
	touch $@

# --- the linters -----------------------------------------------------------------------------------------------------

TIDY := $(CPP_SOURCES:%=build/tidy/%.ok)

lint: .venv/.lint build/compile_commands.json
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy python/tf2trt
	$(BIN)/python -m mypy.stubtest tf2trt._native --mypy-config-file pyproject.toml --allowlist .ci/stubtest-allow.txt
	$(BIN)/clang-format --dry-run -Werror $(CPP_SOURCES) $(filter %.hpp %.h %.cu %.cuh,$(CPP_HEADERS)) $(wildcard tools/abi/*.[ch]pp examples/*/*.cpp tests/gpu/*/*.cpp)
	$(MAKE) --no-print-directory -j $(CMAKE_BUILD_PARALLEL_LEVEL) tidy

.PHONY: tidy
tidy: $(TIDY)

# The bindings are compiled only in the wheel, so their flags stand in its build folder.
build/tidy/%.ok: % $(CPP_HEADERS) .clang-tidy $(wildcard tests/cpp/.clang-tidy) | .venv/.lint build/compile_commands.json
	@echo clang-tidy $<
	@$(BIN)/clang-tidy --quiet -p $(if $(findstring cpp/bindings/,$<),build/python,build) $< 2> >(grep -v 'warnings generated' >&2)
	@mkdir -p $(@D) && touch $@

# Not part of any build here: compiled where it is used, against the TensorFlow that is there.
build/tidy/cpp/hybrid/op.cpp.ok: cpp/hybrid/op.cpp $(wildcard cpp/hybrid/op_*.hpp) cpp/hybrid/interface.h .clang-tidy | .venv/.test
	@echo clang-tidy $<
	@folder=$$($(BIN)/python -c 'import importlib.util as u, os; print(os.path.dirname(u.find_spec("tensorflow").origin))'); \
	$(BIN)/clang-tidy --quiet $< -- -std=c++17 -Icpp/hybrid -isystem "$$folder/include" 2> >(grep -v 'warnings generated' >&2)
	@mkdir -p $(@D) && touch $@
