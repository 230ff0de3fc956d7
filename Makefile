# skdiff: each target sets up what it needs (a venv, packages, the kernel's source, the build) and does nothing twice.

KERNEL  ?= 6.12
KERNELS ?= 6.1 6.12.8 6.12 6.17.8 6.18.15 7.1.13 7.2 7.3
A       ?= 6.1
B       ?= 6.12
SECONDS ?= 60
ENGINE  ?=
SEED    ?=
JOBS    ?=
INPUTS  ?=
FROM    ?=
ARGS    ?=
OF      ?= c model harness
SAN     ?=
EPOCH   ?=
MINUTES ?=
STEPS   ?=
NIGHTS  ?= nights
NIGHT   ?=
CONFIG  ?=
PATCH   ?=
PYTHON  ?= python3

VENV := .venv
BIN  := $(VENV)/bin
export SAN EPOCH CONFIG
ifeq ($(origin CC),command line)
export CC
endif

.PHONY: help kernels fuzz distill endurance diff drift records history test test-long replay extract doctor bench coverage mutants detection trophies matrix nightly report clusterfuzzlite lint format clean
help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10
	@echo 'variables: KERNEL=6.12 or a path, SECONDS=60, JOBS=1, INPUTS=, ENGINE=atheris, random or hypothesis, SEED=, SAN=asan or ubsan, EPOCH=, CONFIG=, ARGS='

fuzz: $(VENV)/ready ## Compare the kernel's lookup with the model on random scenarios
	$(BIN)/skdiff fuzz --kernel '$(KERNEL)' --seconds $(SECONDS) $(if $(ENGINE),--engine $(ENGINE)) $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS)) $(if $(INPUTS),--inputs '$(INPUTS)') $(ARGS)

kernels: $(VENV)/ready ## List the kernels that are cached, and those that KERNEL= can name here
	$(BIN)/skdiff kernels $(ARGS)

distill: $(VENV)/ready ## Merge the guided inputs in INPUTS=inputs with those in FROM=, and keep the few that matter
	$(BIN)/skdiff merge '$(or $(INPUTS),inputs)' $(FROM) --kernel '$(KERNEL)' $(ARGS)

diff: $(VENV)/ready ## Compare two kernels with each other: A=6.1 B=6.12, or paths of trees; or A=7.3 PATCH=series.mbox
	EPOCH= $(BIN)/skdiff diff '$(A)' $(if $(PATCH),--patch '$(PATCH)','$(B)') $(if $(filter command line,$(origin SECONDS)),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

drift: $(VENV)/ready ## Tell how a kernel's text differs from the one recorded in corpus/
	$(BIN)/skdiff drift --kernel '$(KERNEL)' $(ARGS)

records: $(VENV)/ready ## Record the text of the kernels that were run for real: KERNELS="6.1 6.12 ..."
	for kernel in $(KERNELS); do $(BIN)/skdiff drift --kernel "$$kernel" --record || exit; done

history: $(VENV)/ready ## What changed from kernel to kernel, in docs/history.md: KERNELS="6.1 6.12 ..." in their order
	$(BIN)/python -m skdiff.proof.version_history docs/history.md $(KERNELS)

test: $(VENV)/ready ## The tests, in some minutes
	EPOCH= CONFIG= $(BIN)/pytest -n auto $(ARGS)

test-long: $(VENV)/ready ## The tests that build one more kernel each, of which `make test` has every fourth
	EPOCH= CONFIG= $(BIN)/pytest -n auto -m long $(ARGS)

replay: $(VENV)/ready ## Run the kept cases of corpus/ again
	$(BIN)/skdiff replay --kernel '$(KERNEL)' $(ARGS)

extract: $(VENV)/ready ## Show what is taken out of the kernel tree
	$(BIN)/skdiff extract --kernel '$(KERNEL)' $(ARGS)

doctor: $(VENV)/ready ## Say what is here, what is missing, and whether guidance works
	$(BIN)/skdiff doctor --kernel '$(KERNEL)' $(ARGS)

bench: $(VENV)/ready ## Measure where the time of a case goes
	$(BIN)/skdiff bench --kernel '$(KERNEL)' $(ARGS)

coverage: $(VENV)/ready ## Lines and branches of the kernel's text that the corpus reaches; CASES=0 for it alone
	$(BIN)/skdiff coverage --kernel '$(KERNEL)' $(if $(CASES),--cases $(CASES)) $(ARGS)

mutants: $(VENV)/ready ## Prove that changes of kernel and model are seen; SEEDS=0 for the corpus alone
	$(BIN)/skdiff mutants $(OF) --kernel '$(KERNEL)' $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

detection: $(VENV)/ready ## Measure how long each engine takes to find twenty patches (long)
	PYTHONPATH=. $(BIN)/python tests/detection.py $(ARGS)

trophies: $(VENV)/ready ## Measure how long bugs of the past take to be found (minutes)
	PYTHONPATH=. $(BIN)/python tests/trophies.py $(ARGS)

endurance: $(VENV)/ready ## A long run with workers that are killed: SECONDS=7200, JOBS=2
	PYTHONPATH=. $(BIN)/python tests/endurance.py $(if $(filter command line,$(origin SECONDS)),$(SECONDS),7200) $(or $(JOBS),2)

matrix: $(VENV)/ready ## Every configuration of a kernel: the corpus, and some seconds of fuzzing
	PYTHONPATH=. $(BIN)/python tests/matrix.py '$(KERNEL)' $(if $(filter command line,$(origin SECONDS)),$(SECONDS),3)

nightly: $(VENV)/ready ## All of it in MINUTES=240, or those STEPS of it, with a page at the end
	$(BIN)/skdiff nightly --minutes $(or $(MINUTES),240) --folder '$(NIGHTS)' $(if $(NIGHT),--name '$(NIGHT)') $(if $(INPUTS),--inputs '$(INPUTS)') $(if $(JOBS),--jobs $(JOBS)) $(ARGS) $(STEPS)

report: $(VENV)/ready ## One page of what the nights left in NIGHTS=nights, and issue texts of what is new
	$(BIN)/skdiff report '$(NIGHTS)' --issues '$(NIGHTS)/issues' $(ARGS)

clusterfuzzlite: $(VENV)/ready ## Pack the ClusterFuzzLite target as its images do, without Docker, and run it
	test -x build/packer/bin/python || $(PYTHON) -m venv build/packer
	build/packer/bin/python -m pip install --quiet --disable-pip-version-check --editable . 'atheris>=3.0' pyinstaller
	SKDIFF_PACKER="$$PWD/build/packer/bin/python" EPOCH= CONFIG= $(BIN)/pytest -m '' tests/test_clusterfuzzlite.py $(ARGS)

lint: $(VENV)/ready ## ruff, mypy, imports that only go down; the workflows' form and rights
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet --pedantic .github

format: $(VENV)/ready
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean: ## Remove what was built here; the fetched kernels stay in the user's cache
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'skdiff needs Python 3.11 or newer: set PYTHON=' >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo 'no venv: on Debian, apt install python3-venv python3-dev gcc' >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: 'atheris>=3.0' || echo 'no atheris for this Python: make fuzz will use the random engine'
	touch $@
