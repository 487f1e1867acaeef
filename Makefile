# Everything is set up by the targets themselves; Python 3.11 or newer and make are enough.
#   make demo               draw street scenes, read them, print the table, leave annotated pictures in demo/
#   make demo PHOTO=my.jpg  read your photo
#   make test               all tests
#   make check              ruff, mypy, import layers

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
SCENES := 6

.PHONY: demo test check clean

demo: $(VENV)/.demo
ifdef PHOTO
	@mkdir -p demo
	@rm -f demo/read/*.annotated.jpg
	$(BIN)/openplate read "$(PHOTO)" --annotate demo/read
else
	@rm -rf demo/scenes demo/read
	$(BIN)/openplate synthesize scenes --count $(SCENES) --out demo/scenes
	$(BIN)/openplate read demo/scenes/images --annotate demo/read
endif
	@echo "annotated pictures: demo/read" >&2

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) demo

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "openplate needs Python 3.11 or newer, $(PYTHON) is older; try make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp holds as long as what is installed does not change.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[synthesize]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.demo
