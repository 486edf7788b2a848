# What this project is worked with. The work itself is in scripts/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test check deploy-check chaos rollout bench bench-long lint up down clean-servers

# The end-to-end tests wait more than they compute, so more of them than cores run at once.
TEST_THREADS ?= 4
# What tests are built with, everywhere the same, so that nothing is compiled twice: points at which a test can end the daemon.
FEATURES := --features failpoints
# Tests in tests/ that need Kafka, Postgres, Prometheus's tools or valgrind; `make check` runs all others.
NEED_SERVERS := e2e chaos deploy cost
SERVERLESS := $(filter-out $(NEED_SERVERS),$(basename $(notdir \
	$(wildcard tests/*.rs simulator/tests/*.rs) $(patsubst %/main.rs,%,$(wildcard tests/*/main.rs simulator/tests/*/main.rs)))))

help: ## list what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

demo: ## see it work: a merchant's day, no Java needed (STAY=1 keeps it up afterwards)
	@scripts/install demo
	@STAY=$(STAY) scripts/demo

test: ## everything: format, clippy, and all tests on a real Kafka and Postgres
	@scripts/install test
	@scripts/install deploy
	@$(MAKE) --no-print-directory lint
	cargo test --workspace $(FEATURES) --doc
	cargo test --workspace $(FEATURES) --tests --no-run
	scripts/deploy-check
	scripts/with-servers cargo test --workspace $(FEATURES) --tests --no-fail-fast -- --test-threads=$(TEST_THREADS)

check: ## for daily work: format, clippy, and the tests that need no servers
	@scripts/install build
	@$(MAKE) --no-print-directory lint
	cargo test --workspace $(FEATURES) --lib --bins $(addprefix --test ,$(SERVERLESS)) --no-fail-fast

# The program is built as `make test` builds it, with the one test binary that belongs to deploy/.
deploy-check: ## the Helm chart, the plain manifests and compose.yaml, without a cluster (UPDATE_DOCS=1 writes the manifests)
	@scripts/install build
	@scripts/install deploy
	cargo test --workspace $(FEATURES) --test deploy --no-run
	scripts/deploy-check

chaos: ## everything goes wrong at once, for minutes (ORDERS=10000 MINUTES=5 REPLICAS=3; SEED=... for the same again)
	@scripts/install test
	cargo test $(FEATURES) --test chaos --no-run
	ORDERS=$(ORDERS) MINUTES=$(MINUTES) REPLICAS=$(REPLICAS) SEED=$(SEED) cargo test $(FEATURES) --test chaos -- --ignored --nocapture

# A rollout replaces the program of the version before: that is built from an earlier revision.
rollout: ## a rollout and a rollback beside an earlier program, under traffic (BEFORE=revision; else the last with fewer migrations)
	@scripts/install test
	@program=$$(scripts/before $(BEFORE)) && export BWP_TEST_BEFORE=$$program && cargo test $(FEATURES) --test e2e --no-run \
	  && scripts/with-servers cargo test $(FEATURES) --test e2e -- --ignored --exact --nocapture rolled::two_versions_side_by_side_forth_and_back

bench: ## figures, as ratios within one run: a lane's turn, throughput, a hot order beside others, a large shop's names (release build)
	@scripts/install test
	cargo bench --bench turn --bench hot_order --bench names --bench import --bench throughput --no-run
	cargo bench --bench throughput
	scripts/with-servers cargo bench --bench turn --bench hot_order --bench names --bench import

bench-long: ## the throughput benchmark's scenarios that take minutes each (release build)
	@scripts/install test
	cargo bench --bench throughput -- outage settled

lint:
	cargo fmt --all --check
	cargo clippy --workspace $(FEATURES) --all-targets -- -D warnings

up: ## Kafka, Postgres and the simulator, left running; prints the line that runs the daemon
	@scripts/install test
	@scripts/up

down: ## end what `make up` started
	@scripts/down

clean-servers: ## the same, and whatever a killed test run left behind
	@scripts/down --all
