# Two commands on a fresh machine: `make demo` and `make test`. Each creates .venv and works there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What the installed package is built from; a change reinstalls it.
SOURCES := $(shell find posemamba export trt_plugins deploy cmake -type f ! -path '*/__pycache__/*') \
           CMakeLists.txt pyproject.toml constraints.txt
CPP_SOURCES := $(shell find trt_plugins deploy tests benchmarks -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.cc' \
                 -o -name '*.cu' -o -name '*.cuh')

.PHONY: demo test test-first test-second lint format clean env

demo: env
	$(BIN)/python tools/demo.py

# Two halves of about the same length, at once: a test is one process, and they wait a lot. Then
# what judges times, with the machine to itself.
test: lint
	$(MAKE) -j2 test-first test-second
	$(BIN)/pytest -m "alone and not gpu"

FIRST_HALF := tests/benchmarks tests/deploy tests/docs tests/packages tests/pmexport/check tests/posemamba \
              tests/tools
test-first:
	$(BIN)/pytest -m "not gpu and not alone" $(FIRST_HALF)

test-second:
	$(BIN)/pytest -m "not gpu and not alone" $(FIRST_HALF:%=--ignore=%)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CPP_SOURCES)

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP_SOURCES)

env: $(READY)

$(READY): $(SOURCES)
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
	  || { echo "Python 3.10 to 3.12 is needed; name one with: make PYTHON=/path/to/python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	-$(BIN)/python tools/trt_headers.py
	$(BIN)/python -m pip install --quiet --constraint constraints.txt '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist out
