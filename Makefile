# Every target sets up what it needs first: `make demo` and `make test` work on a fresh machine with Python 3.11 to 3.14.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo dev bench test test-faults test-tls test-containers test-metrics test-browser test-examples screenshots lint types format check audit sbom lock clean
.PHONY: docs test-docs reference recording release

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

install: $(STAMP) ## Make .venv with every pinned, hashed requirement

$(STAMP): requirements-dev.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## Run a dozen real jobs over four simulated APIs, and check every outcome
	@$(BIN)/settle demo

dev: install ## Redis, workers, Flower and the simulator in this terminal
	@$(BIN)/settle dev

bench: install $(VENV)-peers/.installed $(VENV)-arq/.installed ## Settle beside its peers, fifteen quiet minutes on two cores; writes docs/benchmarks.md (QUICK=1: two minutes; writes .bench)
	$(BIN)/python -m benchmarks --peers $(VENV)-peers --arq $(VENV)-arq $(if $(QUICK),--quick) $(ARGS)

$(VENV)-peers/.installed: benchmarks/requirements.lock
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)-arq/.installed: benchmarks/requirements-arq.lock
	$(PYTHON) -m venv $(VENV)-arq
	$(VENV)-arq/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

test: install ## Unit, contract, property and acceptance tests, in random order
	$(BIN)/python -m pytest --ignore=tests/containers --ignore=tests/faults --ignore=tests/tls --ignore=tests/metrics --ignore=tests/browser --ignore=tests/examples --ignore=tests/docs --numprocesses=4 --dist=loadscope --no-loadscope-reorder $(ARGS)

test-faults: install ## Break it on purpose: kill -9, restart Redis, cut connections; prints its figures
	$(BIN)/python -m pytest tests/faults --numprocesses=3 --dist=loadscope --timeout=300 -rP $(ARGS)

test-tls: install $(VENV)-redis/redis-server ## Redis over TLS: fetches a redis-server that has it, if there is none
	TLS_REDIS=$(abspath $(VENV)-redis/redis-server) $(BIN)/python -m pytest tests/tls $(ARGS)

$(VENV)-redis/redis-server: docker/tls-redis.sh
	docker/tls-redis.sh $(VENV)-redis

test-containers: install ## Real containers: pytest-celery and the compose file (Docker, or a private engine)
	PYTHON=$(BIN)/python docker/run-tests.sh $(ARGS)

test-metrics: install ## Metrics, alerts and dashboard against a real Prometheus (on the PATH, or Debian's package)
	PATH="$$(tests/metrics/prometheus.sh $(VENV)-prometheus):$$PATH" $(BIN)/python -m pytest tests/metrics $(ARGS)

test-browser: install chromium ## The Jobs page in a real headless Chromium
	$(BIN)/python -m pytest tests/browser $(ARGS)

test-examples: install $(VENV)-examples/.installed examples/node/node_modules/.installed ## The examples, each as an application of its own against a real worker (needs npm)
	DJANGO_SECRET_KEY=types BROKER_URL=redis:// $(VENV)-examples/bin/mypy --config-file examples/mypy.ini
	EXAMPLES_PYTHON=$(abspath $(VENV)-examples/bin/python) $(BIN)/python -m pytest tests/examples $(ARGS)

# Without Settle: only the client is installed, from its wheel.
$(VENV)-examples/.installed: examples/requirements.lock $(wildcard client/*.toml client/settle_client/*) | install
	$(PYTHON) -m venv $(VENV)-examples
	$(VENV)-examples/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r examples/requirements.lock
	rm -f $(VENV)-examples/settle_client-*.whl
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation --wheel-dir $(VENV)-examples ./client
	$(VENV)-examples/bin/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall $(VENV)-examples/settle_client-*.whl
	@touch $@

examples/node/node_modules/.installed: examples/node/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed: install Node.js 18 or newer" >&2; exit 1; }
	npm --prefix examples/node ci --ignore-scripts --no-audit --no-fund
	@touch $@

docs: $(VENV)-docs/.installed ## The documentation as a site, in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --strict

test-docs: install docs $(VENV)-audit/.installed ## Run every command and code block of the pages, look at the site, try a release
	PATH="$$(tests/docs/tools.sh $(VENV)-tools):$$PATH" DOCS_PYTHON=$(abspath $(VENV)-docs/bin/python) CYCLONEDX=$(abspath $(VENV)-audit/bin/cyclonedx-py) \
	  $(BIN)/python -m pytest tests/docs --numprocesses=2 --dist=loadscope --timeout=180 $(ARGS)

recording: install $(VENV)-docs/.installed ## Record settle demo again: docs/images/demo.cast, and demo.svg made of it
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m docs.scripts.record docs/images/demo.cast settle demo
	$(VENV)-docs/bin/python docs/scripts/play.py docs/images/demo.cast docs/images/demo.svg

$(VENV)-docs/.installed: docs/requirements.lock
	$(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

screenshots: install chromium ## Take the pictures of docs/images again
	$(BIN)/python -m pytest tests/browser -k pictures --screenshots docs/images $(ARGS)

.PHONY: chromium
chromium:
	@test -n "$(CHROMIUM)" || command -v chromium chromium-browser >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } \
	  || { echo "no Chromium: install the package chromium (apt-get install chromium), or name one in CHROMIUM" >&2; exit 1; }

lint: install ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install ## Let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install ## mypy, strict
	$(BIN)/mypy

check: lint types test docs test-docs ## All that must pass before a merge

reference: install ## Write docs/reference and the pictures that come from the code again
	$(BIN)/python -m docs.scripts.reference
	$(BIN)/python -m docs.scripts.pictures
	$(BIN)/python -m workflows.command.reference docs/reference

audit: $(VENV)-audit/.installed ## Known vulnerabilities of every pinned package; asks PyPI
	$(VENV)-audit/bin/pip-audit --strict --disable-pip --require-hashes $(foreach lock,requirements-dev.lock audit/requirements.lock examples/requirements.lock docs/requirements.lock,-r $(lock)) $(ARGS)

sbom: install $(VENV)-audit/.installed ## sbom.cdx.json: what Settle is made of, from requirements.lock (CycloneDX)
	$(VENV)-audit/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --mc-type application --output-reproducible --spec-version 1.6 --output-format JSON --validate --output-file sbom.cdx.json
	$(BIN)/python audit/check_sbom.py

release: install $(VENV)-audit/.installed ## VERSION=x.y.z: build, try and (with DRY_RUN=0) commit and tag a release
	@test -n "$(VERSION)" || { echo "make release VERSION=x.y.z [DRY_RUN=0]" >&2; exit 2; }
	$(BIN)/python audit/release.py $(VERSION) --cyclonedx $(VENV)-audit/bin/cyclonedx-py $(if $(filter 0,$(DRY_RUN)),--do) $(if $(BORROWED_SITE),--site $(BORROWED_SITE))

$(VENV)-audit/.installed: audit/requirements.lock
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

lock: ## Pin every requirement again, with hashes and without any index address
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/python -m pip install --quiet uv
	$(VENV)-lock/bin/uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header --quiet --upgrade --python-version 3.11 -o requirements.lock
	$(VENV)-lock/bin/uv pip compile pyproject.toml --extra otel --universal --generate-hashes --no-emit-index-url --no-header --quiet --upgrade --python-version 3.11 -o requirements-otel.lock
	$(VENV)-lock/bin/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-emit-index-url --no-header --quiet --upgrade --python-version 3.11 -o requirements-dev.lock
	for name in benchmarks/requirements benchmarks/requirements-arq audit/requirements examples/requirements docs/requirements; do $(VENV)-lock/bin/uv pip compile $$name.in --universal --generate-hashes --no-emit-index-url --no-header --quiet --upgrade --python-version 3.11 -o $$name.lock || exit 1; done
	rm -rf $(VENV)-lock

clean: ## Remove what the targets made
	rm -rf $(VENV) $(VENV)-3.14 $(VENV)-python $(VENV)-peers $(VENV)-arq $(VENV)-prometheus $(VENV)-redis $(VENV)-audit $(VENV)-examples $(VENV)-docs $(VENV)-tools site examples/node/node_modules .bench .settle .pytest_cache .mypy_cache .ruff_cache .hypothesis
