# Moongate's build. `make help` lists the targets, CONTRIBUTING.md says how they are meant.
# Sources are found by wildcard: a new .c, spec or fuzz target needs no edit here.
JOBS := $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
MAKEFLAGS += --no-builtin-rules $(JOBS)
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

BUILD := build
comma := ,
# V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)  $@")

# SAN=1 builds and runs everything under address and undefined-behaviour sanitizers, beside the plain build.
VARIANT := $(if $(SAN),-san)
OBJ := $(BUILD)/obj$(VARIANT)
BIN := $(BUILD)/moongate$(VARIANT)

# ---- third-party libraries, from the distribution's signed archive (runtime/build/README.md) ----
DEPS_DIR ?= $(BUILD)/deps
WITHOUT_DEPS := help clean format lint-format lint-shell
ifneq ($(filter-out $(WITHOUT_DEPS),$(or $(MAKECMDGOALS),all)),)
-include $(DEPS_DIR)/deps.mk
endif
$(BUILD)/deps/deps.mk: runtime/build/deps.sh runtime/build/deps.lock
	@sh runtime/build/deps.sh

# ---- flags ----
ifeq ($(origin CC),default)
CC := cc
endif
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
            -Wformat=2 -Wundef -Wwrite-strings
# The sanitizers bring their own checks of what FORTIFY checks, and see more without it.
FORTIFY := $(if $(SAN)$(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(shell printf '%s\n' \
  'int f(char *p) { return (int)__builtin_dynamic_object_size(p, 0); }' | \
  $(CC) -Werror -xc -c -o /dev/null - 2>/dev/null && echo 3 || echo 2))
HARDENING := -fPIE -fstack-protector-strong -fstack-clash-protection $(FORTIFY)
SANITIZE := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
COMPILE := $(CC) $(CFLAGS) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(HARDENING) $(SANITIZE) -Iruntime $(DEPS_CFLAGS)
# -E: Lua reaches the core by FFI. -static-libgcc: at run time only libc is needed.
# (Not with sanitizers: ASan must see the unwinder, or what errors skip over stays poisoned on the stack.)
LINK := $(CC) $(CFLAGS) -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,-E $(if $(SAN),,-static-libgcc) $(SANITIZE) $(LDFLAGS)

# ---- sources ----
CORE_SOURCES := $(wildcard runtime/core/*.c)
HOST_SOURCES := $(wildcard runtime/*.c runtime/bind/*.c)
CORE := $(CORE_SOURCES:%.c=$(OBJ)/%.o)
HOST := $(HOST_SOURCES:%.c=$(OBJ)/%.o)
CORE_TESTS := $(patsubst spec/runtime/core/%.c,$(OBJ)/test/%,$(wildcard spec/runtime/core/*_test.c))

# A file that changes when the text does: flags or the list of sources differ -> rebuild or relink.
define stamp
ifneq ($$(file <$(1)),$(2))
$$(shell mkdir -p $$(dir $(1)))
$$(file >$(1),$(2))
endif
endef
ifdef DEPS_LIBS
$(eval $(call stamp,$(OBJ)/compile.stamp,$(strip $(COMPILE) $(DEPS_ID))))
$(eval $(call stamp,$(OBJ)/link.stamp,$(strip $(LINK) $(CORE) $(HOST) $(DEPS_LIBS) $(DEPS_ID))))
endif

all: $(CORE) $(if $(wildcard runtime/main.c),$(BIN)) ## build build/moongate (SAN=1: build/moongate-san)

$(BIN): $(CORE) $(HOST) $(OBJ)/link.stamp
	$(call say,link)
	$(Q)$(LINK) -o $@ $(CORE) $(HOST) $(DEPS_LIBS)
$(OBJ)/%.o: %.c $(OBJ)/compile.stamp | $(DEPS_DIR)/deps.mk
	$(call say,cc  )
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<
$(OBJ)/test/%: spec/runtime/core/%.c $(CORE) $(OBJ)/link.stamp
	$(call say,test)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -MT $@ -MF $@.d -Ispec/runtime/core -c -o $@.o $<
	$(Q)$(LINK) -o $@ $@.o $(CORE) $(DEPS_LIBS)
.SECONDARY:


# ---- programs that only tests and benchmarks need: the system's, or unpacked into build/tools ----
TOOLS := $(BUILD)/tools/bin
$(BUILD)/tools/%.stamp: runtime/build/tools.sh runtime/build/archive.sh | $(DEPS_DIR)/deps.mk
	@sh runtime/build/tools.sh $*
	@touch $@
NODE_MODULES := spec/clients/node_modules/.package-lock.json
CLIENTS := $(NODE_MODULES) $(BUILD)/tools/curl.stamp
clients: $(CLIENTS) ## install the real SDKs that spec/clients runs
$(NODE_MODULES): spec/clients/package.json spec/clients/package-lock.json | $(BUILD)/tools/node.stamp
	cd spec/clients && PATH="$(abspath $(TOOLS)):$$PATH" npm ci --ignore-scripts
	@touch $@

# ---- fuzzing: the core once more, by clang, with coverage and both sanitizers ----
FUZZ_OBJ := $(BUILD)/obj-fuzz
FUZZ_COMPILE = $(TOOLS)/clang -O1 -g -std=gnu11 -D_GNU_SOURCE -w -fsanitize=address,undefined \
  -fno-sanitize-recover=all -fno-omit-frame-pointer -Iruntime $(DEPS_CFLAGS) -MMD -MP
FUZZ_CORE := $(CORE_SOURCES:%.c=$(FUZZ_OBJ)/%.o)
FUZZERS := $(patsubst spec/fuzz/%_fuzz.c,$(FUZZ_OBJ)/fuzz/%,$(wildcard spec/fuzz/*_fuzz.c))
FUZZ_SECONDS ?= 60
$(FUZZ_OBJ)/runtime/%.o: runtime/%.c Makefile | $(BUILD)/tools/clang.stamp $(DEPS_DIR)/deps.mk
	$(call say,fuzz)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_COMPILE) -fsanitize=fuzzer-no-link -c -o $@ $<
$(FUZZ_OBJ)/fuzz/%: spec/fuzz/%_fuzz.c $(FUZZ_CORE)
	$(call say,fuzz)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_COMPILE) -MT $@ -MF $@.d -fsanitize=fuzzer -Ispec/runtime/core -o $@ $< $(FUZZ_CORE) $(DEPS_LIBS)

# ---- tests: ONLY=text runs what has it in its name ----
# Exported for the programs that specs start. Leak checks are on; a report of a sanitizer ends the process.
export MOONGATE_LUA_PATH = $(DEPS_LUA_PATH)
export MOONGATE_LUA_CPATH = $(DEPS_LUA_CPATH)
export MOONGATE_NODE = $(abspath $(TOOLS)/node)
export MOONGATE_VARIANT = $(VARIANT)
export ASAN_OPTIONS = detect_leaks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS = print_stacktrace=1
only = $(if $(ONLY),$(foreach f,$(1),$(if $(findstring $(ONLY),$(f)),$(f))),$(1))
SPECS := $(sort $(shell find spec -name '*_spec.lua' -not -path '*/node_modules/*'))
CLIENT_SPECS := $(filter spec/clients/%,$(SPECS))
LUA_SPECS := $(filter-out spec/clients/%,$(SPECS))
# A suite is "name command", quoted for the shell; spec/suites.sh reads one a line.
CORE_SUITES = $(foreach t,$(call only,$(CORE_TESTS)),'$(t:$(OBJ)/test/%=spec/runtime/core/%.c) $(t)')
LUA_SUITES = $(foreach s,$(call only,$(LUA_SPECS)),'$(s) $(BIN) --script spec/run.lua $(s)')
CLIENT_SUITES = $(foreach s,$(call only,$(CLIENT_SPECS)),'$(s) $(BIN) --script spec/run.lua $(s)')
FUZZ_SUITE = $(if $(call only,$(FUZZERS)),'spec/fuzz sh spec/fuzz/run.sh $(SHORT_FUZZ_SECONDS) $(call only,$(FUZZERS))')
# All targets together take about 40 s in `make test`, two at a time, 5 s each at most.
SHORT_FUZZ_SECONDS = $(shell s=$$((70 / ($(words $(FUZZERS)) + 1))); [ $$s -lt 5 ] || s=5; echo $$((s > 0 ? s : 1)))
run-suites = @printf '%s\n' $(1) | PATH="$(abspath $(TOOLS)):$$PATH" sh spec/suites.sh

test: $(BIN) $(CORE_TESTS) $(FUZZERS) $(CLIENTS) ## build and run all tests; SAN=1: under sanitizers; ONLY=text: some
	$(call run-suites,$(CORE_SUITES) $(LUA_SUITES) $(CLIENT_SUITES) $(FUZZ_SUITE))
test-core: $(CORE_TESTS) ## C tests of runtime/core
	$(call run-suites,$(CORE_SUITES))
test-lua: $(BIN) ## busted specs, inside the gateway's own loop
	$(call run-suites,$(LUA_SUITES))
test-clients: $(BIN) $(CLIENTS) ## the real SDKs against a running gateway
	$(call run-suites,$(CLIENT_SUITES))
fuzz: $(FUZZERS) ## fuzz the parsers: FUZZ_SECONDS=60 each, ONLY=name
	sh spec/fuzz/run.sh $(FUZZ_SECONDS) $(call only,$(FUZZERS))
# The gateway goes to core 0, everything else to core 1.
BENCH_PROGRAMS := $(BUILD)/bench/upstream $(BUILD)/bench/streams
$(BUILD)/bench/%: spec/bench/%.c
	$(call say,cc  )
	@mkdir -p $(@D)
	$(Q)$(CC) -O2 -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -o $@ $<
bench: $(BIN) $(BENCH_PROGRAMS) $(OBJ)/test/tls_test $(BUILD)/tools/nginx.stamp $(BUILD)/tools/wrk.stamp ## compare with nginx (ROWS= ROUNDS= SECONDS= TARGETS= WRITE=1 LIST=1), see spec/bench/README.md
	@taskset -c 1 $(BIN) --script spec/bench/run.lua --rows=$(ROWS) --rounds=$(ROUNDS) --seconds=$(SECONDS) --targets=$(TARGETS) $(if $(WRITE),--write) $(if $(LIST),--list)
check: ## lint, then test
	$(MAKE) lint
	$(MAKE) test

# ---- lint ----
C_FILES := $(wildcard runtime/*.[ch] runtime/core/*.[ch] runtime/bind/*.[ch] spec/runtime/core/*.[ch] spec/runtime/*.[ch] spec/fuzz/*.[ch] spec/bench/*.[ch])
# Versions of clang-format differ in details: the tree is formatted by this one.
CLANG_FORMAT_VERSION := 14
CLANG_FORMAT ?= $(firstword $(foreach p,clang-format-$(CLANG_FORMAT_VERSION) clang-format,$(shell command -v $(p))))
HAS_FORMAT = $(findstring version $(CLANG_FORMAT_VERSION).,$(if $(CLANG_FORMAT),$(shell $(CLANG_FORMAT) --version)))
lint: lint-lua lint-format lint-shell ## luacheck, clang-format, shellcheck
lint-lua: $(BIN)
	@$(BIN) --script $(DEPS_LUACHECK) -q --no-color $(wildcard lua plugins spec examples)
lint-format:
	$(if $(HAS_FORMAT),@$(CLANG_FORMAT) --dry-run -Werror $(C_FILES),@echo "lint-format: left out, needs clang-format $(CLANG_FORMAT_VERSION)")
lint-shell:
	@if command -v shellcheck >/dev/null; then shellcheck -x $$(git ls-files '*.sh' .ci/run); else echo "lint-shell: left out, needs shellcheck"; fi
format: ## format the C files in place
	$(CLANG_FORMAT) -i $(C_FILES)

reference: $(BIN) ## write the pages that are made from data (lua/gate/REFERENCE.md and others)
	@$(BIN) --script spec/support/write_reference.lua

# ---- run, install ----
run: $(BIN) ## start the gateway; without gate.lua: on its simulator, and print a curl line that works
	@$(BIN) run
PREFIX ?= /usr/local
SHARE = $(DESTDIR)$(PREFIX)/share/moongate
install: $(BIN) ## install under PREFIX=/usr/local (DESTDIR= for packagers), with a systemd unit
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/moongate
	rm -rf $(SHARE)/lua $(SHARE)/plugins
	set -e; find lua/gate plugins -name '*.lua' | while read -r f; do install -D -m 644 "$$f" "$(SHARE)/$$f"; done
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/moongate/LICENSE
	set -e; for p in libluajit-5.1-dev libuv1-dev libllhttp-dev libmbedtls-dev lua-cjson-dev; do \
	  install -D -m 644 $(DEPS_ROOT)/usr/share/doc/$$p/copyright $(DESTDIR)$(PREFIX)/share/doc/moongate/licenses/$$p; done
	sed 's#@PREFIX@#$(PREFIX)#g' runtime/build/moongate.service.in >$(BUILD)/moongate.service
	install -D -m 644 $(BUILD)/moongate.service $(DESTDIR)$(PREFIX)/lib/systemd/system/moongate.service

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-13s %s\n' "$$name" "$$text"; done

clean: ## remove what was built (downloads too; node_modules stay)
	rm -rf $(BUILD)

.PHONY: all test test-core test-lua test-clients clients fuzz bench check lint lint-lua lint-format lint-shell format reference run install help clean
-include $(shell find $(OBJ) $(FUZZ_OBJ) -name '*.d' 2>/dev/null)
