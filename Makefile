# Moongate's build. `make help` lists the targets, CONTRIBUTING.md says how they are meant.
# Sources are found by wildcard: a new .c, spec or fuzz target needs no edit here.
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

BUILD := build
comma := ,

# SAN=1 builds and runs everything under address and undefined-behaviour sanitizers, beside the plain build.
VARIANT := $(if $(SAN),-san)
OBJ := $(BUILD)/obj$(VARIANT)
BIN := $(BUILD)/moongate$(VARIANT)

# ---- third-party libraries, from the distribution's signed archive (runtime/build/README.md) ----
DEPS_DIR ?= $(BUILD)/deps
WITHOUT_DEPS := help clean format lint-names
ifneq ($(filter-out $(WITHOUT_DEPS),$(or $(MAKECMDGOALS),all)),)
-include $(DEPS_DIR)/deps.mk
endif
$(BUILD)/deps/deps.mk: runtime/build/deps.sh runtime/build/deps.lock
	sh runtime/build/deps.sh

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
LINK := $(CC) $(CFLAGS) -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,-E -static-libgcc $(SANITIZE) $(LDFLAGS)

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
	$(LINK) -o $@ $(CORE) $(HOST) $(DEPS_LIBS)
$(OBJ)/%.o: %.c $(OBJ)/compile.stamp | $(DEPS_DIR)/deps.mk
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -c -o $@ $<
$(OBJ)/test/%: spec/runtime/core/%.c $(CORE) $(OBJ)/link.stamp
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -MF $@.d -Ispec/runtime/core -c -o $@.o $<
	$(LINK) -o $@ $@.o $(CORE) $(DEPS_LIBS)
.SECONDARY:

test-core: $(CORE_TESTS) ## C tests of runtime/core (only these: make test-core ONLY=json)
	@set -e; for t in $(filter %$(ONLY)_test,$(CORE_TESTS)); do echo "$$t"; $$t; done

clients: spec/clients/node_modules/.package-lock.json ## install the real SDKs that spec/clients runs
spec/clients/node_modules/.package-lock.json: spec/clients/package-lock.json
	cd spec/clients && npm ci --ignore-scripts

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' Makefile | column -ts'|' 2>/dev/null || \
	  sed -nE 's/^([a-z-]+):.*## (.*)/  make \1    \2/p' Makefile

clean: ## remove build/
	rm -rf $(BUILD)

.PHONY: all test-core clients help clean
-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
