PYTHON ?= python3
# Whole files in one process each, so that what a file's tests share is made once.
PYTEST = .venv/bin/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PIP = PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install -q -c constraints.txt

.PHONY: demo test slow
demo: .venv/.installed
	.venv/bin/autoscale demo --run runs/demo

test: .venv/.installed-test
	$(PYTEST)

slow: .venv/.installed-test
	$(PYTEST) -m slow

.venv/.installed: pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) -e .
	touch $@

.venv/.installed-test: .venv/.installed
	$(PIP) -e ".[test]"
	touch $@
