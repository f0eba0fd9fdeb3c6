# Every task of the tree. P=channels-core narrows a task to one package, ARGS=... passes on to
# pytest, PYTHON=python3.13 and DJANGO=6.1 choose another interpreter and another Django.
PYTHON ?= python3
DJANGO ?= 5.2
PORT ?= 8000
P =
ARGS =
export PORT

# Runs what follows in the environment of this interpreter and this Django, installing it first.
IN_ENV = @exec "$(PYTHON)" -m tools.env --python "$(PYTHON)" --django "$(DJANGO)" --
ABLE = import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help interpreter install demo demo-redis test lint format types imports isolated traced suites faults build docs lock ci clean

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

interpreter:
	@"$(PYTHON)" -c '$(ABLE)' 2>/dev/null || { echo "PYTHON=$(PYTHON) is not a working Python 3.11 or newer with venv (Debian: python3-venv): name one with PYTHON=." >&2; exit 1; }

install: interpreter ## Make the environment with the pinned tools and all packages editable
	$(IN_ENV)

demo: interpreter ## Serve the example chat on 127.0.0.1:8000 (PORT= changes it)
	$(IN_ENV) python -m tools.demo

demo-redis: interpreter ## Serve it with two servers, a worker and Redis, at PORT and the next
	$(IN_ENV) python -m tools.demo_redis

test: interpreter ## Test every package alone with its coverage gate, then the whole tree
	$(IN_ENV) python -m tools.test $(P) -- $(ARGS)

lint: interpreter ## Check format, style and docstrings
	$(IN_ENV) python -m tools.check lint $(P)

format: interpreter ## Rewrite what lint can put right by itself
	$(IN_ENV) python -m tools.check format $(P)

types: interpreter ## Check the types strictly: source, tests, and what users see of them
	$(IN_ENV) python -m tools.check types $(P)

imports: interpreter ## Check that imports point one way
	$(IN_ENV) lint-imports --no-logo

isolated: interpreter ## Test each package's wheel with nothing but what it declares
	$(IN_ENV) python -m tools.isolated $(P)

traced: interpreter ## Serve a site under ddtrace and under OpenTelemetry, with our wheels
	$(IN_ENV) python -m tools.traced

suites: interpreter ## Run the tests of public packages on our wheels (ARGS='--upstream' compares)
	$(IN_ENV) python -m tools.suites $(ARGS)

faults: interpreter ## Break Redis, servers and clients, and print what becomes of the rest
	$(IN_ENV) env PYTHONPATH=tests:. python -m faults $(ARGS)

build: interpreter ## Build wheels and source archives into dist/ and check what they hold
	$(IN_ENV) python -m tools.build $(P)

docs: interpreter ## Build the documentation into docs/_build/html, warnings as errors
	$(IN_ENV) sphinx-build -q -W --keep-going -b html docs docs/_build/html

lock: interpreter ## Resolve the third-party pins anew
	$(IN_ENV) python -m tools.lock

ci: lint types imports ## Everything that has to hold before a change lands
	$(IN_ENV) python -m tools.side_by_side \
		"test P=tree, docs" "test P=packages, isolated, traced, build"
	$(IN_ENV) python -m tools.summary

clean: ## Remove builds, reports and caches (environments stay; they are the .venv* folders)
	@rm -rf build dist docs/_build .coverage && find . -path './.venv*' -prune -o -type d \( -name __pycache__ -o -name '.*_cache' -o -name .hypothesis \) -exec rm -rf {} +
