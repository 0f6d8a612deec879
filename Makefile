# mpiod: one iSCSI disk over several paths, served as one NBD device.  `make help` lists the targets.
prefix ?= /usr/local
sysconfdir ?= /etc
CC ?= gcc
CFLAGS ?= -O2 -g
B ?= build
VERSION := 0.1.0

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
SAN := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
DEPS := inih jansson libsystemd libmnl
ALL_CFLAGS = -std=gnu11 $(WARN) $(SAN) -MMD -MP -DMPIOD_VERSION='"$(VERSION)"' \
	     $(shell pkg-config --cflags $(DEPS)) $(CFLAGS)
LIBS = $(shell pkg-config --libs $(DEPS)) -liscsi -lev -lanl -lpthread

# Every .c of the four folders but the programs' own files is in every program: one archive.
PROGRAM_SRC := daemon/main.c $(wildcard daemon/mpioctl*.c) conf/gendoc.c
LIB_SRC := $(filter-out $(PROGRAM_SRC),$(wildcard conf/*.c policy/*.c transport/*.c daemon/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)

all: $(B)/mpiod $(B)/mpioctl

$(B)/libmpio.a: $(LIB_OBJ)
	@rm -f $@; $(AR) rcs $@ $^

$(B)/mpiod: $(B)/daemon/main.o $(B)/libmpio.a
	$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/mpioctl: $(patsubst %.c,$(B)/%.o,$(wildcard daemon/mpioctl*.c)) $(B)/libmpio.a
	$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# A unit test is a program named after the source it tests: t/unit/policy/choose.c -> build/unit/policy/choose
UNIT := $(patsubst t/unit/%.c,$(B)/unit/%,$(wildcard t/unit/*/*.c))
unit: $(UNIT)

$(B)/unit/%: t/unit/%.c $(B)/libmpio.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -I. -o $@ $< $(B)/libmpio.a $(LIBS) $(shell pkg-config --cflags --libs check)

clean:
	rm -rf build

.PHONY: all unit clean
-include $(shell [ -d $(B) ] && find $(B) -name '*.d')
