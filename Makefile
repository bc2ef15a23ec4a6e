PYTHON ?= python3
PIP = PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install -q -c constraints.txt

.PHONY: demo test slow
demo: .venv/.installed
	.venv/bin/autoscale demo --run runs/demo

test: .venv/.installed-test
	.venv/bin/python -m pytest

slow: .venv/.installed-test
	.venv/bin/python -m pytest -m slow

.venv/.installed: pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) -e .
	touch $@

.venv/.installed-test: .venv/.installed
	$(PIP) -e ".[test]"
	touch $@
