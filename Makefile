# The words of this project: demo, test, lint, fix, native, and the long ones.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Says what is done while it is done.
MOVING := sh docs/moving.sh

.PHONY: demo test test-long test-native-asan test-qemu lint fix native try-native
.PHONY: bench bench-quality bench-prepare bench-overhead clean

demo: try-native
	@TEXTGEN=$(BIN)/textgen sh docs/demo.sh

# A file's tests stay together: they share what they train.
ALL_CORES := --numprocesses auto --dist loadfile

test: $(VENV)/.test try-native
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow" $(ALL_CORES)

# Kills, resumes, encodings, budgets: minutes each.
test-long: $(VENV)/.test try-native
	$(BIN)/python -m pytest -m slow

# The native engine's tests while every address and undefined operation is checked. The runtimes
# come first: Python itself is not built with them.
ASAN := build/_textgen_asan.so
test-native-asan: $(VENV)/.test
	$(BIN)/python -m textgen.native.build --sanitize --output $(ASAN)
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so.6)" \
	ASAN_OPTIONS=detect_leaks=0 TEXTGEN_NATIVE_LIBRARY=$(CURDIR)/$(ASAN) $(BIN)/python -m pytest \
	-m "not slow" --ignore tests/native/test_installing.py tests/native

# On emulated CPUs without AVX-512 and without AVX2. Needs qemu-user.
test-qemu: $(VENV)/.installed native
	sh tests/native/qemu.sh $(BIN)/python

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The native engine, compiled in place; says how long that takes, or what is missing.
native: $(VENV)/.installed
	$(BIN)/python -m textgen.native.build

# The same for what runs without it, too.
try-native: $(VENV)/.installed
	-@$(BIN)/python -m textgen.native.build

# Speed of the native engine beside torch's own kernels: about ten minutes.
bench: $(VENV)/.test try-native
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/sampling.py --rounds 3

# What `textgen train` reaches with its defaults; TEXTS names the texts. Three seeds of one and of
# three minutes a text, then one of ten: about 25 minutes a text.
TEXTS ?= corpora/russian.txt corpora/english.txt
bench-quality: try-native
	$(BIN)/python benchmarks/quality.py $(TEXTS) --budget 1m --budget 3m
	$(BIN)/python benchmarks/quality.py $(TEXTS) --budget 10m --rng 1

# The training loop's own cost over the bare forward, backward and optimiser step.
bench-overhead: try-native
	$(BIN)/python benchmarks/overhead.py

# A gigabyte of text prepared: MB/s on one core, memory. Needs 4 GB of disk.
bench-prepare: $(VENV)/.installed
	$(BIN)/python benchmarks/prepare.py
	$(BIN)/python benchmarks/memory.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info

$(VENV)/bin/python:
	@$(MOVING) "creating $(VENV)" $(PYTHON) -m venv $(VENV)

# The engine first: within pip's own work nothing would be seen of it. It needs nothing installed,
# and textgen runs without it.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	-@$(MOVING) "compiling the engine" $(BIN)/python -m textgen.native.build
	@echo "torch is by far the largest of what comes now; what is downloaded is kept by pip"
	@$(MOVING) "downloading and installing" \
	$(PIP) install --progress-bar off --constraint constraints.txt --editable '.[probe]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt $(VENV)/.installed
	@$(MOVING) "downloading and installing what the tests need" \
	$(PIP) install --progress-bar off --constraint constraints.txt --editable '.[test]'
	@touch $@
