# The verbs of OpenCIM. The two that matter: `make run`, `make test`.
.PHONY: help run test check soak bench bench-edit bench-load bench-meter lock build clean
PY := .venv/bin/python

help: ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 14

run: ## set up, then serve the city (a sample city where there is none)
	@tools/setup run
	@.venv/bin/cim run

test: ## set up, then pass the tests on a PostGIS cluster of their own
	@tools/setup test
	@$(PY) -m pytest -m "not soak" -n 2 --dist loadfile

check: ## lint, types, import contracts, one chain of migrations, lock files
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	$(PY) -m pytest -q tests/platform/test_migrations.py -k one_head
	@! grep -nE 'https?://[a-z.]*(pypi|pythonhosted|npmjs|jsdelivr|unpkg)' -r requirements web/package-lock.json pyproject.toml

soak: ## the tests that take long
	$(PY) -m pytest -m soak --timeout 7200

BUILDINGS ?= 1000000
bench: ## answers beside the raw database and peers, as ratios (BUILDINGS=100000 ARGS="--only by-id")
	$(PY) -m tools.bench --buildings $(BUILDINGS) $(ARGS)

bench-catalogue: ## a catalogue of 100,000 services with facets: HTTP beside its statements
	PYTHONPATH=. $(PY) tools/bench_catalogue.py $(ARGS)

bench-load: ## loading beside ogr2ogr: prints the ratio (needs gdal-bin; BUILDINGS=100000 ARGS="--rounds 1")
	$(PY) tools/bench_load.py --buildings $(BUILDINGS) $(ARGS)

bench-edit: ## features created, updated, replaced by HTTP beside the raw transaction: prints the ratio (ARGS="--rounds 3")
	PYTHONPATH=. $(PY) tools/bench_edit.py $(ARGS)

bench-meter: ## a cached tile with and without rights and meter: prints the ratio (ARGS="--rounds 3")
	$(PY) tools/bench_meter.py $(ARGS)

lock: ## resolve the Python packages anew
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --extra load --extra bim --extra harvest --extra test --extra dev pyproject.toml -o requirements/all.txt

build: ## build the page into web/dist
	@rm -f web/dist/.sources; tools/setup run

clean: ## remove what setup made in this folder (not the city's data)
	rm -rf .venv web/node_modules web/dist .pytest_cache .mypy_cache .ruff_cache
