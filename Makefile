# `make check` and `make test` are exactly what CI runs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Where cargo puts what it builds, whatever the user's settings are.
TARGET = $(shell cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

# What people run is optimised; what tests run is quick to build.
RELEASE = $(TARGET)/release/reprise
DEV = $(TARGET)/debug/reprise

# Extra arguments: `make up ARGS='--listen 127.0.0.1:9000'`, `make test ARGS=paused_bot`.
ARGS ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what this machine lacks, and say what and why
	@scripts/setup.sh

.PHONY: up
up: setup ## Run everything: private PostgreSQL, sandbox platform, workers, API
	@cargo build --release --bin reprise
	@exec $(RELEASE) up $(ARGS)

.PHONY: demo
demo: setup ## Play the whole flow against a running `make up`
	@cargo build --release --quiet --bin reprise
	@exec $(RELEASE) demo $(ARGS)

.PHONY: check
check: ## Format, lints and documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --quiet

# One throw-away PostgreSQL serves the whole run; every test makes its own database in it.
.PHONY: test
test: setup check ## All checks and all tests
	cargo build --quiet --workspace --all-targets
	@if cargo nextest --version >/dev/null 2>&1; then \
	  set -x; $(DEV) postgres -- cargo nextest run --workspace $(ARGS); \
	else \
	  set -x; $(DEV) postgres -- cargo test --workspace --lib --bins --tests $(ARGS); \
	fi
	cargo test --workspace --doc --quiet

.PHONY: bench
bench: setup ## Measure appends, replays and jobs on a throw-away PostgreSQL
	@cargo build --release --bin reprise
	@$(RELEASE) bench append $(ARGS)
	@$(RELEASE) bench replay $(ARGS)
	@$(RELEASE) bench jobs $(ARGS)

.PHONY: chaos
chaos: setup ## Kill workers, stop the database, cut the platform off, and see that the books balance
	@cargo build --release --bin reprise
	@$(RELEASE) chaos $(ARGS)

.PHONY: schema
schema: ## Write schema.graphql from the code
	@cargo build --quiet --bin reprise
	@$(DEV) schema > schema.graphql.new
	@mv schema.graphql.new schema.graphql

.PHONY: deny
deny: ## Check licences and advisories of dependencies (needs cargo-deny)
	cargo deny --workspace check
