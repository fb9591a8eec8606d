# Moongate's build. `make help` lists the targets.
MAKEFLAGS += --no-builtin-rules
BUILD := build
DEPS_DIR ?= $(BUILD)/deps
-include $(DEPS_DIR)/deps.mk
$(BUILD)/deps/deps.mk: runtime/build/deps.sh runtime/build/deps.lock
	sh runtime/build/deps.sh

CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
HARDENING := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2
SANITIZE := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
comma := ,
override CFLAGS += -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(HARDENING) $(SANITIZE) -Iruntime $(DEPS_CFLAGS) -MMD -MP
LDFLAGS += -pie -Wl,-z,relro,-z,now $(SANITIZE)
OBJ := $(BUILD)/obj$(if $(SAN),-san)
CORE := $(patsubst %.c,$(OBJ)/%.o,$(wildcard runtime/core/*.c))
HOST := $(patsubst %.c,$(OBJ)/%.o,$(wildcard runtime/*.c runtime/bind/*.c))
BIN := $(BUILD)/moongate$(if $(SAN),-san)
CORE_TESTS := $(patsubst spec/runtime/core/%.c,$(OBJ)/test/%,$(wildcard spec/runtime/core/*_test.c))

all: $(BIN)
$(BIN): $(CORE) $(HOST)
	$(CC) $(LDFLAGS) -o $@ $^ $(DEPS_LIBS)
$(OBJ)/%.o: %.c | $(DEPS_DIR)/deps.mk
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<
$(OBJ)/test/%: spec/runtime/core/%.c $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Ispec/runtime/core $(LDFLAGS) -o $@ $^ $(DEPS_LIBS)
test-core: $(CORE_TESTS)
	@for t in $^; do echo "$$t"; $$t || exit 1; done
.PHONY: all test-core
-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
