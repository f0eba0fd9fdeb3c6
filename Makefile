# Every task of the tree. P=channels-core limits a task to one package, ARGS=... is passed to pytest,
# PYTHON=python3.13 and DJANGO=6.1 choose another interpreter and another Django series.
PYTHON ?= python3
DJANGO ?= 5.2
PORT ?= 8000
P =
V =
DRY_RUN =
ARGS =
export PORT

# Runs a command in the environment of this interpreter and this Django, after installing it.
IN_ENV = @exec "$(PYTHON)" -m tools.env --python "$(PYTHON)" --django "$(DJANGO)" --
ABLE = import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help interpreter install demo demo-redis test lint format types imports isolated traced suites faults hostile bench bench-quick build release compat index docs screenshots lock ci clean

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

interpreter:
	@"$(PYTHON)" -c '$(ABLE)' 2>/dev/null || { echo "PYTHON=$(PYTHON) is not a working Python 3.11 or newer with venv (Debian: python3-venv): name one with PYTHON=." >&2; exit 1; }

install: interpreter ## Create the environment: pinned tools, all packages editable
	$(IN_ENV)

demo: interpreter ## Serve the example chat on 127.0.0.1:8000 (PORT= changes it)
	$(IN_ENV) python -m tools.demo

demo-redis: interpreter ## Serve it with two servers, a worker and Redis, at PORT and the port after it
	$(IN_ENV) python -m tools.demo_redis

test: interpreter ## Test each package with its coverage gate, then the whole tree
	$(IN_ENV) python -m tools.test $(P) -- $(ARGS)

lint: interpreter ## Check format, style and docstrings
	$(IN_ENV) python -m tools.check lint $(P)

format: interpreter ## Fix what lint can fix automatically
	$(IN_ENV) python -m tools.check format $(P)

types: interpreter ## Check types strictly: source, tests, and what users see
	$(IN_ENV) python -m tools.check types $(P)

imports: interpreter ## Check the import contracts
	$(IN_ENV) lint-imports --no-logo

isolated: interpreter ## Test each package's wheel, its coverage too, with only what it declares
	$(IN_ENV) python -m tools.isolated $(P)

traced: interpreter ## Serve a site under ddtrace and under OpenTelemetry, with our wheels
	$(IN_ENV) python -m tools.traced

suites: interpreter ## Run the test suites of public packages on our wheels (ARGS='--upstream' compares)
	$(IN_ENV) python -m tools.suites $(ARGS)

faults: interpreter ## Break Redis, servers and clients, and print the effects
	$(IN_ENV) env PYTHONPATH=tests:. python -m faults $(ARGS)

hostile: interpreter ## Run the hostile tests alone, and count them by kind
	$(IN_ENV) python -m tools.hostile $(ARGS)

bench: interpreter ## Compare with the peers: over an hour (ARGS='echo-text --rounds 9', --help)
	$(IN_ENV) python -m benchmarks $(ARGS)

bench-quick: interpreter ## Check in small counts that each peer does what the benchmarks count
	$(IN_ENV) python -m benchmarks --quick $(ARGS)

build: interpreter ## Build wheels and source archives into dist/, and check their content
	$(IN_ENV) python -m tools.build $(P)

release: interpreter ## Release one package: P=channels-http V=1.1.0 (DRY_RUN=1 only shows it)
	$(IN_ENV) python -m tools.release $(if $(DRY_RUN),--dry-run) -- "$(P)" "$(V)"

compat: interpreter ## Test packages with the oldest and newest versions that they admit
	$(IN_ENV) python -m tools.compat $(ARGS)

index: interpreter ## Make a folder from which pip installs any release: dist/simple
	$(IN_ENV) env PYTHONPATH=tests:. python -m tools.index $(ARGS)

# -a: the search of a build of some pages lacks the index entries of the others.
docs: interpreter ## Build the documentation into docs/_build/html, warnings as errors
	$(IN_ENV) sphinx-build -q -a -W --keep-going -b html docs docs/_build/html
	$(IN_ENV) python -m tools.pages docs/_build/html
	$(IN_ENV) python -m tools.links docs/_build/html

screenshots: docs ## Make the pictures of the documentation in docs/screenshots, with Chromium
	$(IN_ENV) env PYTHONPATH=tests:. python -m tools.screenshots

lock: interpreter ## Resolve the third-party pins again
	$(IN_ENV) python -m tools.lock

# `isolated` runs the tests of each package with its coverage gate, so `test P=packages` would only
# repeat them.
ci: lint types imports ## Run all checks that a change must pass
	$(IN_ENV) python -m tools.side_by_side \
		"test P=tree, docs" "isolated, traced, bench-quick, build, index ARGS='--tree --check'"
	$(IN_ENV) python -m tools.summary

clean: ## Remove builds, reports and caches, but not the environments (.venv*)
	@rm -rf build dist docs/_build docs/tutorial/archives .coverage && find . -path './.venv*' -prune -o -type d \( -name __pycache__ -o -name '.*_cache' -o -name .hypothesis \) -exec rm -rf {} +
