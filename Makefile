# make demo: train and look at a small model. make test: every check of label fast and medium.
# Each target sets up what it needs: a bare Debian 12 is enough. `make help` lists them.
SHELL := /bin/bash
BUILD ?= build
JOBS ?= $(shell nproc)
PACKAGES := g++ cmake ninja-build pkg-config python3 nlohmann-json3-dev catch2 libeigen3-dev libdnnl-dev \
  libpcre2-dev libutf8proc-dev libzstd-dev zlib1g-dev libprotobuf-dev protobuf-compiler libjs-dygraphs
SUDO := $(shell [ $$(id -u) = 0 ] || echo sudo)

.PHONY: help setup build test test-slow test-asan test-tsan fuzz demo demo-mlm format clean
help:
	@echo "make build      build/normlab, Release"
	@echo "make demo       corpus, tokenizer, a small NormFormer causal LM, report.html (about ten minutes)"
	@echo "make demo-mlm   the same for a masked LM"
	@echo "make test       build, then every test labelled fast or medium"
	@echo "make test-slow  seeded trainings and sweeps"
	@echo "make test-asan / test-tsan   fast tests under the sanitizers"
	@echo "make fuzz       a minute of libFuzzer per input format"

# Installs only what is missing, so that a machine which has everything needs no network.
setup:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q "ok installed" || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing: $$missing"; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

$(BUILD)/build.ninja: CMakeLists.txt cmake/*.cmake tests/CMakeLists.txt | setup
	cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release

build: setup $(BUILD)/build.ninja
	ninja -C $(BUILD) normlab

test: setup $(BUILD)/build.ninja
	ninja -C $(BUILD)
	ctest --test-dir $(BUILD) -L 'fast|medium' --output-on-failure --no-tests=error -j $(JOBS)

test-slow: setup $(BUILD)/build.ninja
	ninja -C $(BUILD)
	ctest --test-dir $(BUILD) -L slow --output-on-failure --no-tests=error

test-asan: setup
	cmake -S . -B build-asan -G Ninja -DNORMLAB_ASAN=ON
	ninja -C build-asan
	ctest --test-dir build-asan -L fast --output-on-failure --no-tests=error -j $(JOBS)

test-tsan: setup
	cmake -S . -B build-tsan -G Ninja -DNORMLAB_TSAN=ON
	ninja -C build-tsan
	ctest --test-dir build-tsan -L fast --output-on-failure --no-tests=error -j $(JOBS)

format:
	git ls-files '*.cc' '*.h' | xargs clang-format -i

clean:
	rm -rf build build-asan build-tsan build-fuzz
