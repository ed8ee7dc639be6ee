# Every target is listed by `make` alone. Works with GNU make 4 and with the 3.81 of macOS.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# Any Python 3.8 or newer runs the set-up; it looks for the 3.11 of the environments by itself.
FIND_PYTHON = for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null && { echo $$p; break; }; done
PYTHON ?= $(shell $(FIND_PYTHON))
NO_PYTHON = No Python 3.8 or newer was found on PATH (looked for python3.11, python3 and python); \
	install Python 3.11, or name one: make PYTHON=/path/to/python3.11
SETUP = $(or $(PYTHON),$(error $(NO_PYTHON))) environments/setup.py

TH := .envs/th/bin
TF := .envs/tf/bin
TH_TESTS := tests/core tests/train tests/onnxgraph tests/ui tests/project tests/architectures tests/notebooks
TF_TESTS := tests/core tests/convert tests/ui
NOTEBOOKS = $(wildcard notebooks/*.ipynb)
# Two processes share the tests; whoever picks another number, or none (-n 0, for --pdb), does so in PYTEST_ARGS.
PYTEST := -m pytest -n 2 --dist worksteal
# Idle OpenMP threads of one process sleep, so that those of the other have the processor.
SHARING := OMP_WAIT_POLICY=PASSIVE
# Whoever picks tests by name may pick none of one part: pytest's exit status 5 is no failure then.
NO_TESTS_STATUS = $(if $(strip $(PYTEST_ARGS)),5,0)
OPTABLES := engine/tfgraph/optables
ARCHITECTURES := build/architectures
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable \
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"

# $(call option,NAME,--name): the option, when NAME= was written on make's command line. A variable of that name in the
# environment is not meant (WSL sets NAME), and the shell reads the value, so that it may hold spaces and quotes.
option = $(if $(filter command,$(origin $(1))),$(if $(strip $($(1))),$(2) "$$$(1)"))
HANDOFF_OPTIONS = $(call option,MODEL,--model) $(call option,CHECKPOINT,--checkpoint) \
	$(call option,NAME,--name) $(call option,TARGETS,--targets) $(call option,INPUTS,--inputs) \
	$(call option,OUTPUTS,--outputs) $(call option,SIZES,--sizes) $(call option,OPSET,--opset)

# A typing mistake in a name would hand off another model than was meant.
VARIABLES := MODEL CHECKPOINT NAME TARGETS INPUTS OUTPUTS SIZES OPSET PYTHON SETUP TH TF PYTEST_ARGS LAB_ARGS BENCH_ARGS BROWSERS \
	MINUTES CAMPAIGN_ARGS CASES FUZZ_ARGS
GIVEN = $(foreach v,$(.VARIABLES),$(if $(filter command,$(origin $(v))),$(v)))
UNKNOWN = $(filter-out $(VARIABLES),$(GIVEN))
check_variables = $(if $(strip $(UNKNOWN)),$(error There is no variable $(strip $(UNKNOWN)); \
	make handoff takes $(wordlist 1,8,$(VARIABLES))))

.PHONY: help setup legacy clients dev handoff lab exercises browser test check audit bench architectures coverage campaign fuzz kills verbs optables clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## both environments (.envs/th, .envs/tf) and the kernels train and convert
	@$(SETUP) th tf kernels

legacy: ## the runtimes TensorFlow 1.4.1, 1.13.2 and 1.15.5 that prove old artefacts (Python 3.6 and 3.7)
	@$(SETUP) legacy

clients: ## runtimes of other makers that try the artefacts: OpenVINO, LiteRT, OpenCV, MNN, ncnn
	@$(SETUP) clients

dev: ## what tests and checks need, on top of both environments
	@$(SETUP) dev

handoff: ## run notebooks 01-06 for a model: MODEL= CHECKPOINT= NAME= TARGETS="tf1.4 tf2" INPUTS= OUTPUTS= SIZES= OPSET=
	@$(check_variables)$(SETUP) th tf kernels legacy --optional
	@$(TH)/python -m nbhelpers.workbook $(HANDOFF_OPTIONS)

lab: setup ## JupyterLab with both kernels (more options for it: LAB_ARGS=)
	@$(TH)/jupyter lab notebooks $(LAB_ARGS)

exercises: setup ## copies of the notebooks to learn with, the solutions blank: notebooks/exercises
	@$(TH)/python -m nbhelpers.workbook.exercises

browser: ## chromium for the test that opens JupyterLab (installed here only as root with apt-get)
	@for b in $(BROWSERS); do if command -v "$$b" >/dev/null 2>&1; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo "browser: installing chromium ..."; \
		log=$$(mktemp); \
		{ apt-get update && apt-get install -y --no-install-recommends chromium; } >"$$log" 2>&1 || \
			{ cat "$$log"; rm "$$log"; exit 1; }; \
		rm "$$log"; \
	else \
		echo "browser: no chromium or chrome was found; install one, or the browser test does not run."; \
		[ -z "$$CI" ]; \
	fi

test: browser ## all tests, the legacy runtimes and the clients included (choose with PYTEST_ARGS=)
	@$(SETUP) th tf kernels dev legacy clients
	@status=0; \
	echo "== tests of the kernel train"; \
	$(SHARING) $(TH)/python $(PYTEST) $(TH_TESTS) $(PYTEST_ARGS) || [ $$? = $(NO_TESTS_STATUS) ] || status=1; \
	echo "== tests of the kernel convert"; \
	$(SHARING) $(TF)/python $(PYTEST) $(TF_TESTS) $(PYTEST_ARGS) || [ $$? = $(NO_TESTS_STATUS) ] || status=1; \
	exit $$status

check: ## lint, format, types, import contracts, spelling, notebooks without outputs and well-formed
	@$(SETUP) dev-th
	@status=0; \
	run() { echo "== $$*"; "$$@" || status=1; }; \
	run $(TH)/ruff check --output-format concise; \
	run $(TH)/ruff format --check --output-format concise; \
	run $(TH)/mypy; \
	run $(TH)/lint-imports --no-logo; \
	run $(TH)/codespell; \
	$(if $(NOTEBOOKS),run $(TH)/nbstripout --keep-id --verify $(NOTEBOOKS);) \
	run $(TH)/python -m pytest -q $(wildcard tests/project/test_notebook_structure.py) tests/project/test_pins.py; \
	exit $$status

audit: ## known advisories about the pins, where an index of them can be reached
	@$(SETUP) audit

bench: ## speed and memory against other converters: writes benchmarks/RESULTS.md (parts of it: BENCH_ARGS=)
	@$(SETUP) th tf kernels legacy bench
	@$(TF)/python benchmarks/speed $(BENCH_ARGS)

architectures: ## real networks of both exporters on every target: writes benchmarks/architectures/README.md
	@$(SETUP) th tf kernels legacy architectures
	@.envs/architectures/bin/python benchmarks/architectures/export.py $(ARCHITECTURES)
	@$(TF)/python benchmarks/architectures/measure.py $(ARCHITECTURES)

coverage: setup legacy ## onnx's own test suite on every target, each on its runtime: writes benchmarks/coverage/
	@$(TF)/python benchmarks/coverage/measure.py

MINUTES ?= 10
campaign: ## random models through the whole product for MINUTES=: writes benchmarks/campaign/ (CAMPAIGN_ARGS=--seed 7)
	@$(SETUP) th tf kernels dev legacy
	@$(TF)/python benchmarks/campaign --minutes $(MINUTES) --write $(CAMPAIGN_ARGS)

CASES ?= 1000
fuzz: ## CASES= damaged files through every verb that reads files: findings in build/fuzz (FUZZ_ARGS="--seed 7 --write")
	@$(SETUP) th tf kernels dev
	@$(TF)/python benchmarks/fuzz --cases $(CASES) $(FUZZ_ARGS)

kills: ## 200 kills in the middle of writing: writes benchmarks/kills/README.md
	@$(SETUP) tf
	@$(TF)/python benchmarks/kills

verbs: ## every ONNX verb on a file of 500 MB, beside others: writes benchmarks/verbs/README.md
	@$(SETUP) th peers
	@$(TH)/python benchmarks/verbs

optables: setup legacy ## write the tables of ops, kernels and forms again, each by its own TensorFlow
	@for v in tf1.4 tf1.13 tf1.15; do \
		.envs/$$v/bin/python $(OPTABLES)/dump.py $(OPTABLES)/$$v.json || exit 1; \
		.envs/$$v/bin/python $(OPTABLES)/dump_kernels.py $(OPTABLES)/$$v.kernels.json || exit 1; \
		.envs/$$v/bin/python $(OPTABLES)/dump_forms.py $(OPTABLES)/$$v.forms.json || exit 1; done
	@$(TF)/python $(OPTABLES)/dump_forms.py $(OPTABLES)/tf2.forms.json

clean: ## remove caches and what builds left behind (never handoffs/, your results, nor .envs/)
	@rm -rf build engine/build dist .cache .hypothesis .tmp *.egg-info engine/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	@find . \( -path ./.git -o -path ./.envs -o -path ./handoffs \) -prune -o \
		\( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -exec rm -rf {} +

distclean: clean ## `make clean`, and remove .envs/ (the next `make setup` installs it anew; handoffs/ stays)
	@rm -rf .envs
