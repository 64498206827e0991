# Everything a developer or a CI machine does here. Needs Go, make and git; tools come pinned through tools/go.mod, and
# `make test` gets itself a redis-server, oathtool, a name server, PostgreSQL, identity providers and an S3 server, `make bench` a redis-server.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO   ?= go
TOOL := $(GO) tool -modfile=tools/go.mod
PKGS ?= ./...
BASE ?= main
FUZZTIME ?= 20s
export CGO_ENABLED = 0

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo; echo "  Variables: PKGS=./policy/... (test, race, cover)  FUZZTIME=20s (fuzz)  BASE=main (lint)  ARGS=… (demo, bench)"

.PHONY: build
build: ## the binary, bin/postern
	$(GO) build -trimpath -o bin/postern ./cmd/postern

.PHONY: demo
demo: build ## a score of sign-ins against the real binary, and the record they leave (ARGS=--keep leaves it running)
	bin/postern demo $(ARGS)

.PHONY: demo-sso
demo-sso: build idps ## sign-ins through real identity providers, OpenID Connect and SAML, and the record they leave (needs Node)
	$(GO) run ./test/demosso bin/postern

.PHONY: redis
redis: # a redis-server binary, installed from Debian where there is none; no service is started
	@hack/ensure.sh redis-server redis-server redis "Tests against a real Redis need a redis-server binary (7.0 or later)" redis-server.service

.PHONY: oathtool
oathtool: # the oathtool binary, installed from Debian where there is none
	@hack/ensure.sh oathtool oathtool oath-toolkit "Tests of one-time codes need oathtool (2.6 or later)"

.PHONY: dns
dns: # named of BIND, installed from Debian where there is none; no service is started
	@hack/ensure.sh named bind9 bind "Tests of domain verification need named of BIND (9.18 or later)" named.service

.PHONY: postgres
postgres: # the programs of a PostgreSQL server, installed from Debian where there are none; no service is started
	@hack/ensure.sh initdb postgresql postgresql@17 "Tests of the archive need initdb and postgres (15 or later)" postgresql.service

.PHONY: idps
idps: # the identity providers tests sign in at: Dex, and two from npm with Node where there is none
	@GO=$(GO) hack/ensure-idps.sh

.PHONY: s3
s3: # the S3 server tests keep exports at: versitygw
	@GO=$(GO) hack/ensure-s3.sh

.PHONY: test
# The stories come first: they wait more than they work, so that the other packages run beside them.
test: redis oathtool dns postgres idps s3 ## every test, also against a real redis-server and PostgreSQL
	REQUIRE_BACKENDS=1 $(TOOL) gotestsum --format standard-quiet -- -timeout 15m $(if $(filter ./...,$(PKGS)),./test) $(PKGS)

.PHONY: race
race: redis oathtool dns postgres idps s3 ## the same tests under the race detector (needs gcc)
	@command -v gcc >/dev/null || { echo "error: the race detector needs cgo, and there is no gcc on PATH" >&2; exit 1; }
	CGO_ENABLED=1 REQUIRE_BACKENDS=1 $(TOOL) gotestsum --format standard-quiet -- -race -timeout 25m $(PKGS)

.PHONY: cover
cover: redis oathtool dns postgres idps s3 ## test coverage by function in cover.out, the total at the end
	REQUIRE_BACKENDS=1 $(GO) test -timeout 15m -coverpkg=./... -coverprofile=cover.out $(PKGS)
	grep -v /proto/gen/ cover.out > cover.tmp && mv cover.tmp cover.out
	$(GO) tool cover -func=cover.out | tail -n 1

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME
	GO=$(GO) hack/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: redis ## this sidecar beside its floor on a real redis-server, as a table of ratios
	$(GO) run ./bench $(ARGS)

.PHONY: bench-directory
bench-directory: redis ## sign-ins beside 10,000 organizations, 1,000,000 domains and 1,000,000 claimed accounts (minutes)
	$(GO) run ./bench directory $(ARGS)

.PHONY: bench-archive
bench-archive: $(if $(filter postgres,$(ENGINE)),postgres) ## a record of 200 days with ROWS events in ENGINE (sqlite or postgres): taking it, asking it
	$(GO) run ./bench archive --rows $(or $(ROWS),1000000) --engine $(or $(ENGINE),sqlite) $(ARGS)

.PHONY: microbench
microbench: redis ## Go benchmarks with allocations, five times, summed up by benchstat
	@mkdir -p bin
	$(GO) test -run '^$$' -bench . -benchmem -count 5 $(PKGS) > bin/microbench.txt
	$(TOOL) benchstat bin/microbench.txt

.PHONY: deploy-check
deploy-check: ## promtool, helm and systemd-analyze over deploy/
	GO=$(GO) hack/deploy-check.sh

.PHONY: lint
lint: ## golangci-lint, buf lint, and buf breaking against BASE
	$(TOOL) golangci-lint run $(PKGS)
	$(TOOL) buf lint
	@base=$$(git rev-parse -q --verify $(BASE) || git rev-parse -q --verify origin/$(BASE) || true); \
	if [ -n "$$base" ] && [ -n "$$(git ls-tree "$$base" buf.yaml)" ] && [ -n "$$(git ls-tree "$$base" proto/postern/v1/)" ]; then \
		echo "buf breaking against $(BASE)"; \
		$(TOOL) buf breaking --against "$$(git rev-parse --git-common-dir)#ref=$$base"; \
	else echo "buf breaking: no API at $(BASE) to compare with"; fi

.PHONY: generate
generate: ## Go code and OpenAPI from proto/
	rm -rf bin/.gen && mkdir -p bin/.gen docs/reference/openapi
	$(TOOL) buf generate -o bin/.gen
	$(TOOL) buf generate --template buf.gen.store.yaml -o bin/.gen
	rm -rf proto/gen && mv bin/.gen/proto/gen proto/gen
	mv bin/.gen/docs/reference/openapi/* docs/reference/openapi/ && rm -rf bin/.gen

.PHONY: docs
docs: ## docs/reference from the code (go:generate lines)
	$(GO) generate ./...

.PHONY: verify
verify: ## what is generated is committed and fresh, the modules are tidy
	$(MAKE) generate docs
	$(GO) mod tidy
	cd tools && $(GO) mod tidy
	cd tools/idps && $(GO) mod tidy
	cd tools/s3 && $(GO) mod tidy
	cd tools/helm && $(GO) mod tidy
	git diff --exit-code
	@new=$$(git ls-files --others --exclude-standard -- proto/gen docs/reference examples); \
	[ -z "$$new" ] || { echo "error: generated, but not committed:" >&2; echo "$$new" >&2; exit 1; }

.PHONY: vuln
vuln: ## known vulnerabilities (needs govulncheck on PATH and its online database)
	govulncheck ./...

.PHONY: ci
ci: ## what CI runs
	.ci/run

.PHONY: clean
clean: ## remove what was built here
	rm -rf bin dist cover.out cover.tmp
