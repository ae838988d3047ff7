# `make help` lists the targets: the line after ## is the help of each.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Shows what a silent command does while it runs.
MOVING := sh scripts/moving.sh
# The tests start hundreds of processes: each would compile the package again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo quick test test-pages test-long test-native-asan test-qemu test-arm test-windows lint fix tree keywords
.PHONY: native pictures docs try-native install-checked hashes
.PHONY: bench test-gpu bench-quality bench-prepare bench-overhead promises mutants wheels soak release clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: try-native ## Install, show a model that comes with textgen, train another for a minute.
	@TEXTGEN=$(BIN)/textgen sh scripts/demo.sh

# The tests of one file stay together: they share what they train. tests/conftest.py orders the files.
ALL_CORES := --numprocesses auto --dist loadfile --no-loadscope-reorder

# The rules of the house, every option, public names, what the pages name; then what was changed.
QUICK := $(addprefix tests/test_,architecture.py options_walk.py public_api.py errors.py \
	messages.py contributing.py scripts.py docs.py::test_every_option_that_the_pages_name_exists)
# As on Windows and macOS: what is called there must exist there. All at a time, on all cores.
TYPES := printf '%s\n' linux win32 darwin | xargs -P 3 -I SYSTEM \
	$(BIN)/mypy --platform SYSTEM --cache-dir .mypy_cache/SYSTEM
quick: $(VENV)/.test ## Run linter, types and the tests of what was changed: about a minute.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m "not slow" $(ALL_CORES) $(QUICK) $$($(BIN)/python scripts/near.py)

test: $(VENV)/.test try-native ## Run linter, types and all but the long tests: seven to fifteen minutes.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(TYPES)
	$(BIN)/python -m pytest -m "not slow" $(ALL_CORES)

test-pages: $(VENV)/.test try-native ## Run every command of the pages and of the help: about three minutes.
	$(BIN)/python -m pytest -m slow $(ALL_CORES) tests/test_docs.py

# Kills, resumes, encodings, budgets, installations, every command of the pages.
test-long: $(VENV)/.test try-native ## Run the tests that take minutes each: about half an hour.
	$(BIN)/python -m pytest -m slow

# The runtimes of the sanitizers come first: Python itself is not built with them. Left out are the
# tests that start compilers, which would be checked, too.
ASAN := build/_textgen_asan.so
test-native-asan: $(VENV)/.test ## Run the engine's tests with every address checked.
	$(BIN)/python -m textgen.native.build --sanitize --output $(ASAN)
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so.6)" \
	ASAN_OPTIONS=detect_leaks=0 TEXTGEN_NATIVE_LIBRARY=$(CURDIR)/$(ASAN) $(BIN)/python -m pytest \
	-m "not slow" $(addprefix --ignore tests/native/test_,installing.py build.py) tests/native

test-qemu: $(VENV)/.installed native ## Run the engine on emulated CPUs without AVX; needs qemu-user.
	sh tests/native/qemu.sh $(BIN)/python

# ALL=all adds what takes longest under emulation.
ALL ?=
test-arm: $(VENV)/.test $(VENV)/.wheels native ## Run the engine's tests in an emulated arm64 Python; needs qemu-user.
	sh tests/native/arm.sh $(BIN)/python $(ALL)

test-windows: $(VENV)/.test $(VENV)/.wheels native ## Run the engine's tests on its Windows build; needs wine64.
	sh tests/native/windows.sh $(BIN)/python

lint: $(VENV)/.test ## Run linter and type checker.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(TYPES)

fix: $(VENV)/.test ## Repair what the linter can repair, and format.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The archives first, and nothing that is compiled: what a source archive needs to be built has no
# hash here. TORCH_HASHES names another file for another build of torch.
TORCH_HASHES ?= hashes-torch.txt
install-checked: | $(VENV)/bin/python ## Install what the tests need, each archive by its hash.
	$(PIP) install --progress-bar off --require-hashes --only-binary :all: --no-deps \
	--requirement hashes.txt --requirement $(TORCH_HASHES)
	-$(BIN)/python -m textgen.native.build
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(PIP) check
	@touch $(VENV)/.installed $(VENV)/.test

hashes: ## Write hashes.txt anew, after constraints.txt has changed; needs uv.
	PATH="$(BIN):$$PATH" $(PYTHON) scripts/archive_hashes.py

tree: ## Write anew what pages take from the code.
	$(PYTHON) scripts/tree.py
	$(PYTHON) scripts/apart.py

keywords: ## Write textgen/keywords.py anew, after an option was added.
	$(BIN)/python scripts/write_keywords.py

pictures: $(VENV)/.test try-native ## Draw all pictures of the pages anew: about three minutes.
	$(BIN)/python scripts/draw_pictures.py
	$(BIN)/python scripts/screen_pictures.py

docs: $(VENV)/.docs ## Make the site of the pages in build/site; a warning is an error.
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --conf-dir docs \
	--doctree-dir build/doctrees . build/site
	@echo "open build/site/index.html"

native: $(VENV)/.installed ## Compile the native engine, or say what is missing.
	$(BIN)/python -m textgen.native.build

# The same for what runs without it, too.
try-native: $(VENV)/.installed
	-@$(BIN)/python -m textgen.native.build

bench: $(VENV)/.test try-native ## Measure the engine beside torch's kernels: at most 15 minutes.
	$(BIN)/python benchmarks/speed.py --minutes 9
	$(BIN)/python benchmarks/sampling.py --rounds 3 --minutes 5

# TEXTS names the texts. Three seeds of one and of three minutes a text, then one of ten.
TEXTS ?= corpora/russian.txt corpora/english.txt
bench-quality: try-native ## Measure what `textgen train` reaches: about 25 minutes a text.
	$(BIN)/python benchmarks/quality.py $(TEXTS) --budget 1m --budget 3m
	$(BIN)/python benchmarks/quality.py $(TEXTS) --budget 10m --rng 1

# DEVICE=cpu runs all of it in small on a CPU. TEXTS of a minute each: GPU_TEXTS="FILE FOLDER".
DEVICE ?= cuda
GPU_TEXTS ?= corpora/english.txt corpora/russian.txt
test-gpu: $(VENV)/.test try-native ## Try everything on a GPU, for eight minutes at most; needs one.
	$(BIN)/python benchmarks/gpu.py --device $(DEVICE) --texts $(GPU_TEXTS)

bench-overhead: try-native ## Measure the training loop's own time over the bare steps.
	$(BIN)/python benchmarks/overhead.py

bench-prepare: $(VENV)/.installed ## Measure how fast a gigabyte is prepared; needs 4 GB of disk.
	$(BIN)/python benchmarks/prepare.py
	$(BIN)/python benchmarks/memory.py

# The same command goes on after a stop. ONLY=1,14 runs these parts alone.
ONLY ?=
promises: $(VENV)/.test try-native ## Try every promise and write docs/promises.md: at most an hour.
	$(BIN)/python benchmarks/promises --only "$(ONLY)"

# The same command goes on after a stop. Of ONE_IN mutants one is tried; GROUPS=cells for one group.
ONE_IN ?= 20
mutants: $(VENV)/.test try-native ## Change the code here and there; print what no test notices.
	$(BIN)/python benchmarks/promises/tests_can_fail.py $(GROUPS) --one-in $(ONE_IN)

# TWICE=--twice builds each a second time, elsewhere, and compares the bytes; else the first alone.
TWICE ?=
wheels: $(VENV)/.wheels ## Build the wheels of every platform and the sdist; check and try them.
	$(BIN)/python scripts/wheels.py $(TWICE)

soak: $(VENV)/.installed try-native ## Write 100 million characters, train for an hour: memory, speed.
	$(BIN)/python benchmarks/promises/soak.py

release: $(VENV)/.test $(VENV)/.wheels lint ## Check version and changelog, then build as `wheels`.
	$(BIN)/python scripts/release.py

clean: ## Delete the environment and everything that tools have left.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info

$(VENV)/bin/python:
	@$(MOVING) "creating $(VENV)" $(PYTHON) -m venv $(VENV)

# The engine first: within pip's own work nothing would be seen of it. It needs nothing installed,
# and textgen runs without it.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	-@$(MOVING) "compiling the engine" $(BIN)/python -m textgen.native.build
	@echo "torch is by far the largest of what comes now; what is downloaded is kept by pip"
	@$(MOVING) "downloading and installing" \
	$(PIP) install --progress-bar off --constraint constraints.txt --editable ".[probe]"
	@touch $@

$(VENV)/.wheels: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(MOVING) "downloading and installing what builds the wheels" \
	$(PIP) install --progress-bar off --constraint constraints.txt --editable ".[wheels]"
	@touch $@

$(VENV)/.docs: pyproject.toml constraints.txt $(VENV)/.installed
	@$(MOVING) "downloading and installing what makes the site" \
	$(PIP) install --progress-bar off --constraint constraints.txt --editable ".[docs]"
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt $(VENV)/.installed
	@$(MOVING) "downloading and installing what the tests need" \
	$(PIP) install --progress-bar off --constraint constraints.txt --editable ".[test]"
	@touch $@
