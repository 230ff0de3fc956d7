# skdiff: each target sets up what it needs (a venv, packages, the kernel's source, the build) and does nothing twice.

# `make help` shows the lines that begin with "#:".
#: KERNEL=6.12      a version, which is fetched once, or the path of a source tree
#: SECONDS=60       how long `make fuzz`, live, diff (20), matrix (3) and endurance (7200) run
#: ENGINE=          atheris, random, wide, hypothesis or corpus
#: LOOKUP=          of fuzz, sweep and diff: only these, as in LOOKUP=tcp6 (all)
#: SOCKETS= PART=   of sweep: tables of up to so many sockets (2), one part of many (1/1)
#: ORACLE=host      of live: this machine's kernel, or vm:7.3, vm:PATH: one that is booted under QEMU
#: SEED=            the same seed repeats a run
#: JOBS=            worker processes
#: INPUTS=          a folder for the inputs of guided runs
#: FROM=            of distill: folders of more inputs
#: BEFORE=          of speed and time-to-kill: another checkout
#: A=6.1 B=6.12     of diff: versions or paths of trees
#: PATCH=           of diff: a patch or mailbox to compare A with A, in the place of B
#: KERNELS=         of records and history: versions or paths, in their order
#: CASES= SEEDS=    of coverage, of mutants: 0 for the corpus alone
#: OF=              of mutants: c, model, harness (all of them)
#: MINUTES=240      of nightly: how long
#: STEPS=           of nightly: only these, as in STEPS="fuzz-6.1 mutants-*"
#: NIGHTS=nights    of nightly and report: the folder of all nights
#: NIGHT=           of nightly: the name of its folder there (the time)
#: SAN=             asan or ubsan: build the kernel's text with that sanitizer
#: EPOCH= CONFIG=   the model's rules, the kernel's configuration: see `skdiff fuzz --help`
#: CC=              the C compiler
#: PYTHON=python3   the Python of the virtual environment
#: ARGS=            more options for the command, as in ARGS='--json summary.json'
KERNEL  ?= 6.12
KERNELS ?= 6.1 6.12.8 6.12 6.17.8 6.18.15 7.1.13 7.2 7.3
A       ?= 6.1
B       ?= 6.12
SECONDS ?= 60
ENGINE  ?=
LOOKUP  ?=
SOCKETS ?=
PART    ?=
ORACLE  ?= host
SEED    ?=
JOBS    ?=
INPUTS  ?=
FROM    ?=
BEFORE  ?=
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

.PHONY: help kernels fuzz live distill endurance diff sweep drift records figures history test test-long test-guests replay extract doctor bench speed time-to-kill coverage mutants detection trophies matrix nightly report clusterfuzzlite lint format clean
help: ## List targets and variables
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/; s/^/  /' | expand -t 19
	@echo
	@echo 'variables (make TARGET NAME=value):'
	@sed -n 's/^#: /  /p' $(MAKEFILE_LIST)
	@echo
	@echo 'Most targets run a command of skdiff, which exits with 0 (agreed), 1 (a difference) or 2 (no verdict). make'
	@echo 'itself exits with 0, or with 2 for both others, and prints which one it was ("Error 1"). A script that needs'
	@echo 'the code runs the command itself: make $(VENV)/ready && $(BIN)/skdiff fuzz; echo $$?'

fuzz: $(VENV)/ready ## Compare the kernel's lookup with the model on random scenarios
	$(BIN)/skdiff fuzz --kernel '$(KERNEL)' --seconds $(SECONDS) $(if $(ENGINE),--engine $(ENGINE)) $(if $(LOOKUP),--lookup '$(LOOKUP)') $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS)) $(if $(INPUTS),--inputs '$(INPUTS)') $(ARGS)

live: $(VENV)/ready ## Ask a running kernel, this machine's (all of it as root) or ORACLE=vm:7.3, beside its text and the model
	$(BIN)/skdiff fuzz --oracle '$(ORACLE)' $(if $(filter command line environment,$(origin KERNEL)),--kernel '$(KERNEL)') --seconds $(SECONDS) $(if $(LOOKUP),--lookup '$(LOOKUP)') $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

kernels: $(VENV)/ready ## List the kernels that are cached, and those that can be fetched
	$(BIN)/skdiff kernels $(ARGS)

distill: $(VENV)/ready ## Merge the inputs in INPUTS=inputs and FROM=, and keep the few that reach as much
	$(BIN)/skdiff merge '$(or $(INPUTS),inputs)' $(FROM) --kernel '$(KERNEL)' $(ARGS)

sweep: $(VENV)/ready ## Compare kernel and model on every table of up to SOCKETS=2, or on one PART=3/16 of them
	$(BIN)/skdiff sweep --kernel '$(KERNEL)' $(if $(SOCKETS),--sockets $(SOCKETS)) $(if $(PART),--part '$(PART)') $(if $(LOOKUP),--lookup '$(LOOKUP)') $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

diff: $(VENV)/ready ## Compare two kernels: A=6.1 B=6.12, or paths of trees; or A=7.3 PATCH=series.mbox
	EPOCH= $(BIN)/skdiff diff '$(A)' $(if $(PATCH),--patch '$(PATCH)','$(B)') $(if $(filter command line,$(origin SECONDS)),--seconds $(SECONDS)) $(if $(LOOKUP),--lookup '$(LOOKUP)') $(if $(SEED),--seed $(SEED)) $(ARGS)

drift: $(VENV)/ready ## Compare a kernel's text with the one recorded in corpus/closures/
	$(BIN)/skdiff drift --kernel '$(KERNEL)' $(ARGS)

records: $(VENV)/ready ## Record the text of KERNELS= in corpus/closures/
	for kernel in $(KERNELS); do $(BIN)/skdiff drift --kernel "$$kernel" --record || exit; done

figures: $(VENV)/ready ## Measure what README and docs/ quote, and write it to docs/figures/ (some ten minutes)
	mkdir -p build/figures
	$(BIN)/skdiff coverage --cases 0 --json build/figures/coverage.json
	$(BIN)/skdiff mutants c driver model harness --seeds 0 --json build/figures/mutants.json
	$(BIN)/skdiff fuzz --seconds 60 --seed 1 --json docs/figures/fuzz.json
	$(BIN)/skdiff diff 6.1 6.12 --seconds 20 --seed 1 --json docs/figures/diff.json || test $$? -eq 1 # they differ
	$(BIN)/python -m skdiff.proof.figures docs/figures/proof.json build/figures/coverage.json build/figures/mutants.json

history: $(VENV)/ready ## Write what changed from kernel to kernel in KERNELS= to docs/history.md
	$(BIN)/python -m skdiff.proof.version_history docs/history.md $(KERNELS)

# Tests start Python some hundred times, which would compile all modules each time without bytecode.
CLEAN := EPOCH= CONFIG= PYTHONDONTWRITEBYTECODE=

test: $(VENV)/ready ## Run the tests, some minutes
	$(CLEAN) $(BIN)/pytest -n auto --dist worksteal $(ARGS)

test-long: $(VENV)/ready ## Run the long tests: the others of each kind that `make test` has some of
	$(CLEAN) $(BIN)/pytest -n auto --dist worksteal -m long $(ARGS)

test-guests: $(VENV)/ready ## Run the tests that boot kernels under QEMU, which must be there
	$(CLEAN) $(BIN)/pytest -m guest $(ARGS)

replay: $(VENV)/ready ## Run the cases of corpus/ again
	$(BIN)/skdiff replay --kernel '$(KERNEL)' $(ARGS)

extract: $(VENV)/ready ## Show what is taken out of the kernel tree
	$(BIN)/skdiff extract --kernel '$(KERNEL)' $(ARGS)

doctor: $(VENV)/ready ## Check which tools are here, and whether guided fuzzing works
	$(BIN)/skdiff doctor --kernel '$(KERNEL)' $(ARGS)

bench: $(VENV)/ready ## Measure where the time of a case goes
	$(BIN)/skdiff bench --kernel '$(KERNEL)' $(ARGS)

coverage: $(VENV)/ready ## Measure which lines and branches of the kernel's text are reached
	$(BIN)/skdiff coverage --kernel '$(KERNEL)' $(if $(CASES),--cases $(CASES)) $(ARGS)

mutants: $(VENV)/ready ## Measure how many small changes of kernel, model and harness are noticed
	$(BIN)/skdiff mutants $(OF) --kernel '$(KERNEL)' $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

detection: $(VENV)/ready ## Measure how long each engine takes to find thirty patches (long)
	PYTHONPATH=. $(BIN)/python tests/detection.py $(ARGS)

trophies: $(VENV)/ready ## Measure how long bugs of the past take to be found (minutes)
	PYTHONPATH=. $(BIN)/python tests/trophies.py $(ARGS)

speed: $(VENV)/ready ## Measure how many times as fast as another checkout, BEFORE=, this one is (many minutes)
	PYTHONPATH=. $(BIN)/python tests/speed.py '$(BEFORE)' $(ARGS)

time-to-kill: $(VENV)/ready ## Measure how soon mutants are found here and in another checkout, BEFORE= (half an hour)
	PYTHONPATH=. $(BIN)/python tests/time_to_kill.py '$(BEFORE)' $(ARGS)

endurance: $(VENV)/ready ## Fuzz for SECONDS=7200 with JOBS=2 workers that are killed at random
	PYTHONPATH=. $(BIN)/python tests/endurance.py $(if $(filter command line,$(origin SECONDS)),$(SECONDS),7200) $(or $(JOBS),2)

matrix: $(VENV)/ready ## Run the corpus and SECONDS=3 of fuzzing with every configuration
	PYTHONPATH=. $(BIN)/python tests/matrix.py '$(KERNEL)' $(if $(filter command line,$(origin SECONDS)),$(SECONDS),3)

nightly: $(VENV)/ready ## Run everything in MINUTES=240, or only STEPS=, and make a page of it
	$(BIN)/skdiff nightly --minutes $(or $(MINUTES),240) --folder '$(NIGHTS)' $(if $(NIGHT),--name '$(NIGHT)') $(if $(INPUTS),--inputs '$(INPUTS)') $(if $(JOBS),--jobs $(JOBS)) $(ARGS) $(STEPS)

report: $(VENV)/ready ## Make the page of NIGHTS=nights, and a text for an issue of what is new
	$(BIN)/skdiff report '$(NIGHTS)' --issues '$(NIGHTS)/issues' $(ARGS)

clusterfuzzlite: $(VENV)/ready ## Pack the ClusterFuzzLite target without Docker, and run it
	test -x build/packer/bin/python || $(PYTHON) -m venv build/packer
	build/packer/bin/python -m pip install --quiet --disable-pip-version-check --editable . 'atheris>=3.0' pyinstaller
	SKDIFF_PACKER="$$PWD/build/packer/bin/python" $(CLEAN) $(BIN)/pytest -m '' tests/test_clusterfuzzlite.py $(ARGS)

lint: $(VENV)/ready ## Check style, types, imports, and the workflows
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	MYPYPATH=harness:. $(BIN)/mypy --explicit-package-bases $(addprefix tests/,detection.py endurance.py matrix.py speed.py time_to_kill.py trophies.py) # no test runs them
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet --pedantic .github

format: $(VENV)/ready ## Format the Python code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean: ## Remove what was built here; fetched kernels stay in the user's cache
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'skdiff needs Python 3.11 or newer: set PYTHON=' >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo 'no venv: on Debian, apt install python3-venv python3-dev gcc' >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: 'atheris>=3.0' || echo 'no atheris for this Python: make fuzz will use the random engine'
	touch $@
