# `make` alone lists what there is. Everything is installed into $(VENV); nothing else is touched.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
UV := $(BIN)/uv pip install --quiet --system-certs
# uv does not read pip's settings. pip takes some minutes, as it compiles what nobody imports.
install = { ! $(BIN)/python -m pip config list | grep -q index-url \
    && $(UV) --python $(BIN)/python --constraint constraints.txt $(1); } \
  || { echo "by pip, which takes some minutes ..." >&2; $(PIP) $(1); }
RECIPES := pyproject.toml constraints.txt model_servers/runtime/pyproject.toml
CANDIDATE ?= v2
CONTROL ?= v1
ORACLES := pytest pytest-timeout pytest-xdist hypothesis statsmodels mpmath polars tea-tasting
OVERLAY ?= kind-envoy
PYTEST = ABCTL_PROMETHEUS="$$(.ci/debian prometheus)" KUBEBUILDER_ASSETS="$$(.ci/kubernetes)" \
  $(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder

UNIT := tests/unit tests/contract tests/golden tests/house tests/demonstrations

# With it every command would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo unit test lint format models controllers servers servers-all bench bench-tables calibration overlays \
  pythons docs wheels first-use long mutants \
  kind-up kind-load kind-test kind-down cluster-up cluster-down cluster-programs cluster-test test-lowest setup clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

demo: $(VENV)/local ## the whole loop on this machine (CANDIDATE=v3: worse and slow; CONTROL=v2 CANDIDATE=v1: better)
	@ABCTL_PROMETHEUS="$$(.ci/debian prometheus)" $(BIN)/abctl demo --control $(CONTROL) --candidate $(CANDIDATE)

unit: $(VENV)/dev models ## the quick tests that need no process, with fewer generated examples
	$(BIN)/pytest -q -n 2 --dist worksteal --hypothesis-profile=few -m "not process and not slow" $(UNIT)

test: $(VENV)/dev models ## say what the tests need, get it, and run them all
	@.ci/prepare
	@$(PYTEST) --junitxml=build/tests.xml; tested=$$?; $(BIN)/python .ci/levels build/tests.xml && exit $$tested

lint: $(VENV)/dev ## style, types, floors, scripts and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck --severity=warning $$(grep -lE '^#!.*bash' .ci/*)
	@if linter="$$(.ci/go-program actionlint)"; then "$$linter" -shellcheck $(BIN)/shellcheck; else [ -z "$$CI" ]; fi

format: $(VENV)/dev ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

models: $(VENV)/local ## train the example models into model_servers, for images and tests
	@$(BIN)/python model_servers/train.py

# Knative comes last: it shares some libraries with the Prometheus of `servers`.
controllers: ## build the platforms' own controllers that tests run (once, some twenty minutes)
	@for each in kserve envoy-gateway knative; do .ci/controllers $$each >/dev/null || exit; done

servers: ## fetch and build the servers with the API of Prometheus that tests run (once, some minutes)
	@for each in "debian prometheus" "go-program prometheus" "debian victoria-metrics"; do .ci/$$each >/dev/null || exit; done

servers-all: $(VENV)/dev ## also build Thanos and Mimir, and run the tests that CI leaves out (once, some 20 minutes)
	@for each in thanos mimir; do .ci/go-program $$each >/dev/null || exit; done
	CI=true $(BIN)/pytest -q -m apart

bench: $(VENV)/dev models ## ratios against the alternatives, in one run
	@for each in bench/[a-z]*.py; do \
	  grep -q __main__ $$each && { ABCTL_PROMETHEUS="$$(.ci/debian prometheus)" $(BIN)/python $$each || exit; }; \
	done

bench-tables: $(VENV)/dev ## an experiment by tables of 1e8 events (1.5 GB of disk, some minutes)
	$(BIN)/python bench/tables.py --events 1e8 --alone

calibration: $(VENV)/dev ## the long simulation of error rates behind docs/statistics.md
	$(BIN)/python bench/calibration.py --long --plots docs

overlays: $(VENV)/local ## render the worked examples into k8s/
	$(BIN)/python .ci/overlays

kind-up: ## a kind cluster with what OVERLAY needs (kind-envoy, kind-gateway, kind-kserve, kind-seldon)
	.ci/kind up $(OVERLAY)

kind-load: $(VENV)/local models ## build the images of both variants and load them into the cluster
	.ci/kind load

kind-test: $(VENV)/dev ## apply OVERLAY there, shift and roll back, and run the cluster tests there
	.ci/kind test $(OVERLAY)

kind-down: ## delete the cluster
	.ci/kind down

cluster-up: $(VENV)/dev models ## a Kubernetes of one node on this machine (Debian, root); prints its kubeconfig
	@$(BIN)/python tests/cluster up

cluster-down: $(VENV)/dev ## end it; nothing is left but its logs in build/cluster/logs
	@$(BIN)/python tests/cluster down

cluster-programs: $(VENV)/dev ## build what its node runs (once, some minutes)
	@$(BIN)/python tests/cluster programs

cluster-test: $(VENV)/dev models ## the whole loop there: up, the tests that need pods, down
	@kubeconfig="$$($(BIN)/python tests/cluster up)" || exit; \
	  ABCTL_TEST_NODES="$$kubeconfig" $(BIN)/pytest -q -m "not apart" tests/e2e/test_cluster_{inside,loop,faults}.py; tested=$$?; \
	  $(BIN)/python tests/cluster down && exit $$tested

pythons: $(VENV)/dev ## the core on the newest Python that is here, with the newest of everything
	@$(BIN)/python .ci/pythons

long: $(VENV)/dev models ## what takes long: the core on all Pythons that are here, laws on new examples, mutants, error rates, 50 shifts on a node
	@$(BIN)/python .ci/pythons --all
	$(BIN)/pytest -q -n 2 --dist worksteal --hypothesis-profile=nightly --timeout=3600 -m "hypothesis and not process" $(UNIT)
	@$(MAKE) mutants
	@$(MAKE) calibration
	$(BIN)/python bench/late_labels.py --long
	$(BIN)/python bench/clients.py --long
	$(BIN)/python bench/loop.py --long
	@ABCTL_TEST_SHIFTS=50 $(MAKE) cluster-test

mutants: $(VENV)/dev ## change the rules that decide in small ways: which changes does no test notice?
	@$(BIN)/python .ci/mutants

docs: $(VENV)/dev ## build the documents as a site into build/site, every link checked
	@$(call install,--group docs)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

wheels: $(VENV)/local ## build the wheels into dist: uvx --from 'dist/abctl-VERSION-py3-none-any.whl[local]' abctl demo
	@.ci/wheels

first-use: $(VENV)/local ## what somebody does who has the wheel and nothing else, up to the demo's verdict
	@ABCTL_PROMETHEUS="$$(.ci/debian prometheus)" .ci/first-use

# Simulations of error rates say nothing of versions.
test-lowest: $(VENV)/dev ## the core with the lowest versions that it allows
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/lowest
	$(UV) --python build/lowest --resolution lowest-direct .
	$(BIN)/uv pip freeze --python build/lowest | grep -v '^abctl' > build/lowest.txt
	$(UV) --python build/lowest --constraint build/lowest.txt $(ORACLES)
	build/lowest/bin/python -m pytest -q -n 2 -p no:cacheprovider --hypothesis-profile=few \
	  -m "not apart and not slow" tests/unit/core tests/unit/stats tests/unit/cli/test_commands.py

setup: $(VENV)/dev ## install everything, for work on abctl itself

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "hint: Python 3.11 or 3.12 with venv is needed (Debian: apt install python3.11-venv)" >&2; exit 1; }

$(VENV)/local: $(RECIPES) | $(VENV)/bin/python
	@echo "installing abctl and its local stack into $(VENV) (once) ..." >&2
	@$(PIP) pip uv
	@$(call install,-e '.[local]')
	@touch $@

$(VENV)/dev: $(VENV)/local
	@echo "installing what the tests need ..." >&2
	@$(call install,--group dev)
	@touch $@

clean: ## remove what was installed, built and trained
	rm -rf $(VENV) build dist .abctl model_servers/*/model.joblib*
