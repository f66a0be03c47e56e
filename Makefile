# The one entrance. `make demo` and `make test` do the set-up that they need, so either may be the first command.
#
#   make install              .venv with CellProfiler and NucDL (PYTHON=path names a Python 3.9)
#   make demo [IMAGES=folder] IdentifyNucleiDL beside IdentifyPrimaryObjects, into demo_output/
#   make wheel                dist/nucdl-VERSION.whl, for any environment: pip, pipx, uv
#   make screen               .venv-screen with Snakemake, which runs screens
#   make test [ARGS="-k size"] all tests, the engine's also with current libraries
#   make check                style and types
#   make clean                what the other targets left, the environments excepted (make distclean: those too)

BIN = .venv/bin
ENGINE = .venv-engine
# Tests of the engine alone, which need no CellProfiler.
ENGINE_TESTS = $(wildcard tests/unit tests/property tests/golden)
CODE = nucdl_core plugins pipelines tests benchmarks setup.py

.PHONY: install wheel screen demo test test-cellprofiler test-engine check clean distclean

install:
	@bash tools/install.sh

# It needs no environment of this repository.
wheel:
	rm -rf build
	$(firstword $(wildcard $(BIN)/python) python3) -m pip wheel --quiet --no-deps --wheel-dir dist .

screen: install
	@bash tools/install.sh screen

demo: install
	@$(BIN)/nucdl demo --output demo_output $(if $(IMAGES),--images "$(IMAGES)")

test: test-cellprofiler test-engine

test-cellprofiler: screen
	@bash tools/install.sh gui
	$(BIN)/python -m pytest $(ARGS)

test-engine: install
	@bash tools/install.sh engine
	@if [ -e $(ENGINE)/.nucdl/complete ]; then set -x; $(ENGINE)/bin/python -m pytest $(ENGINE_TESTS) $(ARGS); fi

check: install
	@status=0; set -x; \
	$(BIN)/ruff check $(CODE) || status=1; \
	$(BIN)/ruff format --check $(CODE) || status=1; \
	$(BIN)/mypy || status=1; \
	exit $$status

clean:
	rm -rf demo_output build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv .venv-engine .venv-screen
