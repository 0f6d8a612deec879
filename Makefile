# mpiod: one iSCSI disk over several paths, served as one NBD device.  `make help` lists the targets.
prefix ?= /usr/local
sysconfdir ?= /etc
CC ?= gcc
CFLAGS ?= -O2 -g
B ?= build
VERSION := 0.1.0

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter -Wno-format-truncation \
	$(if $(findstring clang,$(CC)),-Wno-unknown-warning-option -Wno-gnu-variable-sized-type-not-at-end)
SAN := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
DEPS := inih jansson libsystemd libmnl libmicrohttpd nbdkit
# All of it may become a part of a shared library, and nothing of it is to be called from outside of one.
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -fPIC -fvisibility=hidden $(WARN) $(SAN) -MMD -MP -DMPIOD_VERSION='"$(VERSION)"' \
	     $(shell pkg-config --cflags $(DEPS)) $(CFLAGS)
LIBS = $(shell pkg-config --libs $(DEPS)) $(ISCSI_LIBS) -lev -lpthread
# libiscsi's static library with four calls and stderr renamed (transport/iscsi_batch.h), and what it needs itself.
ISCSI_A = $(shell pkg-config --variable=libdir libiscsi)/libiscsi.a
ISCSI_LIBS = $(B)/libiscsi-batch.a -l:librdmacm.so.1 -l:libibverbs.so.1

# Every .c of the four folders but the programs' own files is in every program: one archive.
PROGRAM_SRC := daemon/main.c $(wildcard daemon/mpioctl*.c) conf/gendoc.c
LIB_SRC := $(filter-out $(PROGRAM_SRC),$(wildcard conf/*.c policy/*.c transport/*.c daemon/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)

all: $(B)/mpiod $(B)/mpioctl $(B)/mpio-attach $(B)/nbdkit-mpio-plugin.so $(B)/man/mpiod.conf.5

$(B)/libmpio.a: $(LIB_OBJ) | $(B)/libiscsi-batch.a
	@rm -f $@; $(AR) rcs $@ $^

$(B)/libiscsi-batch.a: | have-deps
	@mkdir -p $(@D)
	objcopy $(foreach f,recv readv send writev stderr,--redefine-sym $(f)=mpio_iscsi_$(f)) $(ISCSI_A) $@

$(B)/mpiod: $(B)/daemon/main.o $(B)/libmpio.a
	$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/mpioctl: $(patsubst %.c,$(B)/%.o,$(wildcard daemon/mpioctl*.c)) $(B)/libmpio.a
	$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(LIBS)

# The engine inside nbdkit.
PLUGIN_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard plugin/*.c))
$(B)/nbdkit-mpio-plugin.so: $(PLUGIN_OBJ) $(B)/libmpio.a
	$(CC) -shared $(SAN) $(LDFLAGS) -Wl,--exclude-libs,ALL -o $@ $^ $(LIBS)
# mpio-attach shares nothing with the others but the NBD protocol's numbers.
ATTACH_DEPS := libnl-genl-3.0 libnl-3.0 jansson libsystemd
ATTACH_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out attach/main.c,$(wildcard attach/*.c)))
ATTACH_LIBS = $(shell pkg-config --libs $(ATTACH_DEPS)) -lev
$(ATTACH_OBJ): ALL_CFLAGS += $(shell pkg-config --cflags $(ATTACH_DEPS))

$(B)/libattach.a: $(ATTACH_OBJ)
	@rm -f $@; $(AR) rcs $@ $^

$(B)/mpio-attach: $(B)/attach/main.o $(B)/libattach.a
	$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(ATTACH_LIBS)

$(B)/unit/attach/%: t/unit/attach/%.c $(B)/libattach.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -I. -o $@ $< $(B)/libattach.a $(ATTACH_LIBS) $(shell pkg-config --cflags --libs check)

$(B)/gendoc: $(B)/conf/gendoc.o $(B)/libmpio.a
	$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(LIBS)

# The keys in the manual page come from the table of keys.
$(B)/man/mpiod.conf.5: contrib/man/mpiod.conf.5.in $(B)/gendoc
	@mkdir -p $(@D)
	@$(B)/gendoc man > $@.keys
	sed -e '/^@KEYS@$$/{r $@.keys' -e 'd}' $< > $@

have-deps:
	@pkg-config --exists $(DEPS) $(ATTACH_DEPS) 2>/dev/null || { echo 'Packages are missing: make deps'; exit 1; }

$(B)/%.o: %.c | have-deps
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# A unit test is a program named after the source it tests: t/unit/policy/choose.c -> build/unit/policy/choose
UNIT := $(patsubst t/unit/%.c,$(B)/unit/%,$(wildcard t/unit/*/*.c))
unit: $(UNIT)

$(B)/unit/%: t/unit/%.c $(B)/libmpio.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -I. -o $@ $< $(B)/libmpio.a $(LIBS) $(shell pkg-config --cflags --libs check)

# ---- tests: t/run runs and counts them; each of these works alone ----

# Without sanitizers, and without anything of what it judges.
$(B)/tools/nbd-load: t/tools/nbd-load.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -MMD -MP $(CFLAGS) -o $@ $< -lnbd

$(B)/tools/%: t/tools/%.c $(B)/libmpio.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -I. -o $@ $< $(B)/libmpio.a $(LIBS)

# The engine alone, under a seeded scheduler with a virtual clock.
SIM_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard t/sim/*.c))
$(SIM_OBJ): ALL_CFLAGS += -I. -DSIM_RESERVATIONS -DSIM_ALUA
$(B)/sim-engine: $(SIM_OBJ) $(B)/libmpio.a
	$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(LIBS)

# The scripted target of the tests.
TARGET_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard t/target/*.c))
$(TARGET_OBJ): ALL_CFLAGS += -I.
$(B)/t-target: $(TARGET_OBJ)
	$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -lev -ljansson -lgcrypt

tools: $(B)/t-target $(patsubst t/tools/%.c,$(B)/tools/%,$(wildcard t/tools/*.c))
SIM := $(if $(SIM_OBJ),$(B)/sim-engine)

SEEDS ?= 20000
# of them again with sanitizers, which is ten times slower
SAN_SEEDS ?= 1000
# make sim [SEEDS=N]: N seeds; make sim SEED=S: that one again
sim: $(B)/sim-engine
	$< $(if $(SEED),--seed $(SEED) --verbose,--seeds $(SEEDS))

CHECK_B ?= build-check
TSAN_B ?= build-tsan
TESTS ?= $(sort $(wildcard t/system/*.sh))
VM_TESTS ?= $(sort $(wildcard t/vm/guest/*.sh)) t/vm/systemd.sh
check:
	@t/timed packages t/deps build test vm
	@echo "Building with sanitizers in $(CHECK_B), without in $(B)"
	@t/timed 'build with sanitizers' $(MAKE) --no-print-directory -s -k -j$(shell nproc) B=$(CHECK_B) \
		SANITIZE=address,undefined CFLAGS="-O1 -g" all unit tools $(if $(SIM),$(CHECK_B)/sim-engine)
	@t/timed 'build without' $(MAKE) --no-print-directory -s -j$(shell nproc) all $(B)/tools/nbd-load $(B)/t-target $(B)/sim-engine
	@t/timed 'plugin with ThreadSanitizer' $(MAKE) --no-print-directory -s -j$(shell nproc) B=$(TSAN_B) SANITIZE=thread \
		CFLAGS="-O1 -g" $(TSAN_B)/nbdkit-mpio-plugin.so
	@t/timed 'fuzz targets' $(FUZZ_MAKE) -k -j$(shell nproc) fuzzers
	@B=$(CHECK_B) PLAIN_B=$(B) TSAN_B=$(abspath $(TSAN_B)) t/run $(UNIT:$(B)/%=$(CHECK_B)/%) \
		"$(CHECK_B)/sim-engine --seeds $(SAN_SEEDS)" "$(B)/sim-engine --seeds $(SEEDS)" \
		t/sim/mutations.sh t/claims.sh $(FUZZ:%="t/fuzz/run.sh %") $(TESTS) $(VM_TESTS)

# With Debian's stock kernel, in a virtual machine under software emulation; no KVM is needed.
check-vm:
	@t/deps build test vm
	@$(MAKE) --no-print-directory -s -j$(shell nproc) all $(B)/tools/nbd-load $(B)/t-target
	@B=$(B) t/run $(VM_TESTS)

# ---- fuzzing: t/fuzz/NAME.c with libFuzzer; make fuzz T=NAME SECONDS=N, and a short run in make check ----

FUZZ_B ?= build-fuzz
FUZZ := $(patsubst t/fuzz/%.c,%,$(wildcard t/fuzz/*.c))
FUZZ_MAKE = $(MAKE) --no-print-directory -s B=$(FUZZ_B) CC=clang CFLAGS="-O1 -g" SANITIZE=fuzzer-no-link,address,undefined
$(B)/fuzz/%: t/fuzz/%.c $(B)/libmpio.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -I. -o $@ $< $(B)/libmpio.a $(LIBS)

fuzzers: $(FUZZ:%=$(B)/fuzz/%)
SECONDS ?= 60
fuzz:
	@t/deps fuzz
	@$(FUZZ_MAKE) -j$(shell nproc) $(FUZZ_B)/fuzz/$(or $(T),$(error T is one of: $(FUZZ)))
	@FUZZ_B=$(FUZZ_B) t/fuzz/run.sh $(T) $(SECONDS)

# ---- what a person can watch ----

demo:
	@t/deps demo
	@$(MAKE) --no-print-directory -s -j$(shell nproc) all $(B)/tools/nbd-load
	@B=$(B) KEEP=$(KEEP) t/demo.sh

bench bench-failover:
	@t/deps bench
	@$(MAKE) --no-print-directory -s -j$(shell nproc) all $(B)/tools/nbd-load
	@B=$(B) t/bench/$(if $(filter bench,$@),bench,failover).sh

# mpiod with the kernel's NBD client beside open-iscsi with dm-multipath, on LIO, in the virtual machine
bench-vm:
	@t/deps build bench-vm
	@$(MAKE) --no-print-directory -s -j$(shell nproc) all
	@B=$(B) t/vm/in t/vm/bench.sh

# ---- lint: all of it has to be silent, but for clang-format, which only advises ----

C_FILES := $(wildcard attach/*.[ch] conf/*.[ch] policy/*.[ch] transport/*.[ch] daemon/*.[ch] plugin/*.[ch] t/*/*.[ch] t/unit/*/*.c)
SCRIPTS := .ci/run t/run t/timed t/deps t/vm/with t/vm/in t/vm/agent t/vm/prepare t/vm/initramfs $(wildcard t/*.sh t/*/*.sh t/vm/guest/*.sh contrib/*.sh contrib/*/*.sh)
MAN = $(wildcard contrib/man/*.[158]) $(B)/man/mpiod.conf.5
lint: $(B)/man/mpiod.conf.5
	@t/deps lint
	@JOBS=$(shell nproc) CFLAGS='$(filter-out -MMD -MP -Werror,$(ALL_CFLAGS)) -I. $(shell pkg-config --cflags $(ATTACH_DEPS))' t/lint.sh \
		"$(C_FILES)" "$(SCRIPTS)" "$(MAN)"

# ---- install ----

bindir ?= $(prefix)/bin
sbindir ?= $(prefix)/sbin
mandir ?= $(prefix)/share/man
docdir ?= $(prefix)/share/doc/mpiod
libdir ?= $(prefix)/lib
# nbdkit finds by name what lies where its package says
plugindir ?= $(or $(if $(filter /usr,$(prefix)),$(shell pkg-config --variable=plugindir nbdkit)),$(libdir)/nbdkit/plugins)
unitdir ?= $(if $(filter /usr,$(prefix)),/lib/systemd/system,$(sysconfdir)/systemd/system)
sysusersdir ?= $(if $(filter /usr,$(prefix)),/usr/lib/sysusers.d,$(sysconfdir)/sysusers.d)

UNITS := $(wildcard contrib/systemd/*.service contrib/systemd/*.socket)
SYSUSERS := $(wildcard contrib/systemd/*.sysusers)
completionsdir ?= $(prefix)/share/bash-completion/completions

UDEV := $(wildcard contrib/udev/*.rules)
udevdir ?= $(if $(filter /usr,$(prefix)),/lib/udev/rules.d,$(sysconfdir)/udev/rules.d)

INSTALLED = $(sbindir)/mpiod $(sbindir)/mpio-attach $(plugindir)/nbdkit-mpio-plugin.so $(UDEV:contrib/udev/%=$(udevdir)/%) $(completionsdir)/mpioctl $(bindir)/mpioctl $(docdir)/mpiod.conf.example \
	$(foreach m,$(MAN),$(mandir)/man$(patsubst .%,%,$(suffix $m))/$(notdir $m)) \
	$(UNITS:contrib/systemd/%=$(unitdir)/%) $(SYSUSERS:contrib/systemd/%.sysusers=$(sysusersdir)/%.conf)

# An existing configuration is never touched; where there is none the example is not put in its place.
install: all
	install -D -m 755 $(B)/mpiod $(DESTDIR)$(sbindir)/mpiod
	install -D -m 755 $(B)/mpioctl $(DESTDIR)$(bindir)/mpioctl
	install -D -m 755 $(B)/nbdkit-mpio-plugin.so $(DESTDIR)$(plugindir)/nbdkit-mpio-plugin.so
	install -D -m 755 $(B)/mpio-attach $(DESTDIR)$(sbindir)/mpio-attach
	@set -e; for u in $(UDEV); do install -v -D -m 644 $$u $(DESTDIR)$(udevdir)/$${u##*/}; done
	install -D -m 644 mpiod.conf.example $(DESTDIR)$(docdir)/mpiod.conf.example
	install -D -m 644 contrib/completions/mpioctl.bash $(DESTDIR)$(completionsdir)/mpioctl
	install -d -m 755 $(DESTDIR)$(sysconfdir)/mpiod
	@set -e; for m in $(MAN); do \
		install -v -D -m 644 $$m $(DESTDIR)$(mandir)/man$${m##*.}/$${m##*/}; \
	done
	@install -d $(DESTDIR)$(unitdir); set -e; for u in $(UNITS); do \
		sed 's,/usr/sbin/mpio,$(sbindir)/mpio,g' $$u > $(DESTDIR)$(unitdir)/$${u##*/}; \
	done
	@set -e; for u in $(SYSUSERS); do \
		install -v -D -m 644 $$u $(DESTDIR)$(sysusersdir)/$$(basename $$u .sysusers).conf; \
	done

uninstall:
	rm -f $(INSTALLED:%=$(DESTDIR)%)
	@rmdir $(DESTDIR)$(docdir) $(DESTDIR)$(sysconfdir)/mpiod 2>/dev/null || true

clean:
	rm -rf build build-check build-tsan build-fuzz

deps:
	@t/deps build

help:
	@echo 'make             build mpiod, mpioctl and mpio-attach (needs the packages of "make deps")'
	@echo 'make demo        watch it: a target, two cables, and what happens when they are pulled; KEEP=1 leaves it up'
	@echo 'make check       all tests, with sanitizers; TESTS="t/system/reset.sh ..." picks system tests'
	@echo 'make check-vm    of them those in a virtual machine: the kernel, LIO, systemd; VM_TESTS="t/vm/guest/attach.sh ..."'
	@echo 'make sim         the simulation; SEEDS=N seeds, or SEED=S for one again'
	@echo 'make fuzz        T=NAME SECONDS=N: one of t/fuzz ($(FUZZ))'
	@echo 'make lint        clang-tidy, cppcheck, shellcheck, manual pages, includes'
	@echo 'make bench       speed and CPU beside the storage daemon of QEMU; ROUNDS=5 RUNTIME=3'
	@echo 'make bench-failover   20 pulls of each kind; COUNT=20'
	@echo 'make bench-vm    in a virtual machine: beside open-iscsi and dm-multipath; ROUNDS=3 RUNTIME=4'
	@echo 'make install     DESTDIR, prefix ($(prefix)), sysconfdir ($(sysconfdir)); make uninstall'
	@echo 'make deps        install the Debian packages that the build needs'
	@echo 'make clean'
	@echo 'B=DIR builds elsewhere, SANITIZE=address,undefined with sanitizers.'

.PHONY: all have-deps unit tools sim check check-vm fuzz fuzzers demo bench bench-failover bench-vm lint install uninstall clean deps help
-include $(shell [ -d $(B) ] && find $(B) -name '*.d')
