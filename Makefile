# What can be made; `make` alone lists it.

PLAN ?= experiments/quick.toml
MUSL := $(shell uname -m)-unknown-linux-musl
PROGRAM := target/release/mlt-lite

help:         ## this list
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

build:        ## the program, optimised: target/release/mlt-lite
	@.ci/need cargo && cargo build --release

test:         ## all tests
	@.ci/need cargo && cargo test

lint:         ## format, lints and documentation, warnings denied
	@.ci/need cargo rustfmt clippy && .ci/lint

fmt:          ## format the sources
	@.ci/need cargo rustfmt && cargo fmt

experiment: build   ## run a matrix and print its table (PLAN=experiments/quick.toml)
	@$(PROGRAM) experiment $(PLAN)

sim: build          ## the loss x tolerance x codec grid on the virtual clock
	@$(PROGRAM) experiment experiments/grid.toml

bench:        ## time kernels, codecs and rounds
	@.ci/need cargo && cargo bench --bench speed

static:       ## one static binary that runs on any Linux of this architecture
	@.ci/need cargo $(MUSL) && cargo build --release --target $(MUSL)

data: build         ## list the data sets and say which are here
	@$(PROGRAM) data list

.PHONY: help build test lint fmt experiment sim bench static data
