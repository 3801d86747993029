# Thin: CMake builds (CMakePresets.json), ctest tests. `make help` lists the targets.
BUILD := build
PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc)

.PHONY: all documentation run check quick asan clang bench fuzz tidy fresh fresh-deb deb install clean help packages packages-check packages-bench

all: packages
	@cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target glasspost

packages:
	@tools/install-packages build

packages-check:
	@tools/install-packages build check
	@tools/unpack-packages $(BUILD)/peers || true

packages-bench:
	@tools/install-packages build check bench

run: all ## install what is missing, build, start a server that catches all mail
	@$(BUILD)/glasspost dev

check: packages-check ## install what is missing, build, pass every test
	@tools/check

quick: packages ## the unit tests only
	@tools/check --quick

bench: packages-bench all ## every comparison: Postfix, Dovecot, crowds, restart, logins
	@tests/bench/all

fuzz: packages-check ## explore with every fuzz target; FUZZ_SECONDS each (60)
	@tools/fuzz

tidy: packages-check ## format, clang-tidy, cppcheck and the rules of the house
	@tools/tidy

fresh: ## make run and make check on a clean Debian; RELEASE (bookworm), as root
	@tools/fresh --release $(or $(RELEASE),bookworm)

fresh-deb: ## the Debian package through install, start, upgrade, purge on a clean Debian; as root
	@tools/fresh --release $(or $(RELEASE),bookworm) --boot --try packaging/try-deb

deb: ## the Debian package of what is committed, in build/deb
	@packaging/build-deb

documentation: all ## make the generated parts of docs/ anew
	@cmake --build $(BUILD) --target documentation
	@$(BUILD)/tools/documentation update docs

install: all ## to DESTDIR and PREFIX
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD)

clean:
	@rm -rf $(BUILD)

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile
