# Every command of the project. `make help` lists them.

PACKAGES_BOX = python3-venv mosquitto nginx-light tesseract-ocr-eng tesseract-ocr-cym ca-certificates
PACKAGES_DESKTOP = xvfb xdotool openbox mousepad zenity xterm x11-utils x11-xkb-utils xkb-data at-spi2-core dbus-x11 \
	python3-gi gir1.2-atspi-2.0 gir1.2-gtk-3.0 libxkbcommon0 libxkbcommon-x11-0 libxcb1
PACKAGES_TEST = $(PACKAGES_BOX) $(PACKAGES_DESKTOP) chromium msitools wixl fonts-dejavu-core fonts-liberation \
	fonts-open-sans fonts-lato fonts-roboto fonts-noto-core fonts-noto-color-emoji slapd ldap-utils
PYTHON = $(shell for p in python3 /usr/bin/python3; do \
	$$p -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r

export TRUSTKEEP_HOME ?= $(CURDIR)/var

.DEFAULT_GOAL := help
.PHONY: help run code stop clean-data test chaos check bench packages-box packages-test lock model

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: packages-box .venv/demo.stamp ## Bring up the whole box with a demo trust; Ctrl-C stops it
	@exec .venv/bin/python -m demo

code: ## Print the codes of the demo accounts' second factors
	@.venv/bin/python -m demo code

stop: ## Stop a box that `make run` started elsewhere
	@.venv/bin/python -m demo stop

clean-data: ## Delete everything the demo box remembers, after asking
	@.venv/bin/python -m demo clean $(if $(YES),--yes)

test: packages-test .venv/test.stamp ## Install what the tests need, and run them all
	@.venv/bin/python -m pytest

chaos: packages-test .venv/test.stamp ## 20,000 events through a box on which everything goes wrong; prints the figures
	@.venv/bin/python -m tests.chaos $(if $(EVENTS),--events $(EVENTS))

check: .venv/test.stamp ## Lint, formatting, types, architecture and documentation
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/python -m pytest tests/test_architecture.py tests/test_docs.py

bench: packages-test .venv/test.stamp ## Measure, each figure beside a peer in the same run; writes benchmarks/results.md
	@.venv/bin/python -m benchmarks

model: packages-box .venv-model/model.stamp ## Rebuild the scoring model from training/ (under an hour on two cores)
	@.venv-model/bin/python -m training.build

lock: ## Rewrite the lock files (needs uv)
	@requirements/lock

packages-box:
	@provisioning/packages $(PACKAGES_BOX)

packages-test:
	@provisioning/packages $(PACKAGES_TEST)

.venv/%.stamp: requirements/%.txt
	@test -x .venv/bin/python || { echo "Making a virtual environment"; $(or $(PYTHON),/usr/bin/python3) -m venv .venv; }
	@echo "Installing the locked packages of $<"
	@$(INSTALL) $<
	@touch $@

.venv-model/model.stamp: requirements/model.txt | packages-box
	@test -x .venv-model/bin/python || $(or $(PYTHON),/usr/bin/python3) -m venv .venv-model
	@.venv-model/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@.venv-model/bin/python -c 'import torch' 2>/dev/null || .venv-model/bin/python -m pip install --quiet \
		--disable-pip-version-check --no-deps --require-hashes -r requirements/model-cuda.txt
	@touch $@

.venv/demo.stamp: | packages-box
.venv/test.stamp: | packages-test
