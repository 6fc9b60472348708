# SPDX-License-Identifier: Apache-2.0
# Thin: sets up what is missing, then calls Meson. `make` alone lists what there is.
LISTEN   ?= 127.0.0.1:8787
DATA     ?= ./parley-data
BUILD    := build

.PHONY: help setup build run test test-long test-e2ee bench compare format check coverage clean
.DEFAULT_GOAL := help

help:
	@echo 'Parley'
	@echo '  make run        install what is missing, build, start the server on http://$(LISTEN)'
	@echo '                  (data in $(DATA); LISTEN=host:port and DATA=folder change that)'
	@echo '  make build      build the programs into $(BUILD)/bin/'
	@echo '  make test       all tests, about ten minutes; ends with "N passed, N failed"'
	@echo '  make test-long  the long tests: more seeds, more kill cycles, more fuzzing'
	@echo '  make test-e2ee  the tests of crates/e2ee (Rust); part of make test-long'
	@echo '  make bench      measurements: echo, sync and one-to-one messages side by side'
	@echo '  make compare    Parley beside Mosquitto and ejabberd (installs them), about ten minutes'
	@echo '  make format     format the C code'
	@echo '  make check      formatting and static analysis'
	@echo '  make coverage   lines and branches that tests reach, by room'
	@echo '  make clean      remove what was built (never $(DATA))'

setup:
	@tools/setup run

build: setup
	@tools/build $(BUILD)

run: build
	@tools/run $(BUILD)/bin $(DATA) $(LISTEN)

test:
	@tools/setup test
	@tools/ci.sh

test-long:
	@tools/setup crate
	@tools/ci.sh --long

test-e2ee:
	@tools/setup crate
	@tools/test-crate

bench: build
	@tools/bench $(BUILD)/bin

compare: build
	@tools/setup compare
	@tools/compare $(BUILD)/bin

format:
	@tools/setup test
	@tools/lint --fix

check:
	@tools/setup test
	@tools/lint

coverage:
	@tools/setup test
	@tools/coverage

clean:
	rm -rf $(BUILD) build-*
