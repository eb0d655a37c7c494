# make demo: train and look at a small model. make test: every check of label fast, medium and dist.
# Each target sets up what it needs: a bare Debian 12 is enough. `make help` lists them.
SHELL := /bin/bash -o pipefail
BUILD ?= build
JOBS ?= $(shell nproc)
PACKAGES := g++ cmake ninja-build pkg-config python3 nlohmann-json3-dev catch2 libeigen3-dev libdnnl-dev \
  libpcre2-dev libutf8proc-dev liblzma-dev libzstd-dev zlib1g-dev libboost-context-dev libprotobuf-dev protobuf-compiler libjs-dygraphs \
  libopenmpi-dev openmpi-bin
FUZZ_PACKAGES := clang-14 libclang-rt-14-dev
FUZZ_SECONDS ?= 60
BOOK_PACKAGES := python3-venv libjs-katex
BOOK_GENERATOR := mkdocs-material==9.8.2
SUDO := $(shell [ $$(id -u) = 0 ] || echo sudo)

.PHONY: help setup build test test-slow test-asan test-tsan fuzz check-arm64 cuda-archs demo demo-mlm figures book format clean
help:
	@echo "make build      build/normlab, Release (about nine minutes on two cores, once)"
	@echo "make demo       corpus, tokenizer, a small NormFormer causal LM, report.html (about ten minutes)"
	@echo "make demo-mlm   the same for a masked LM"
	@echo "make study      what small scale shows: hours, in parts that go on where they were stopped"
	@echo "make test       build, then every test labelled fast, medium or dist"
	@echo "make test-slow  seeded trainings and sweeps"
	@echo "make test-asan / test-tsan   fast tests under the sanitizers"
	@echo "make check-arm64   does the engine, with all above it, compile for 64-bit Arm"
	@echo "make cuda-archs    CUDA kernels by nvcc for 80 86 89 90a 100: no spills (needs CUDA)"
	@echo "make figures    the figures of docs/ again (about ten minutes)"
	@echo "make book       docs/ as one site, in build/book (its generator comes from PyPI)"
	@echo "make fuzz       hostile files, a minute for each target (FUZZ_SECONDS=60), two at a time"

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
	ctest --test-dir $(BUILD) -L dist --output-on-failure

test-slow: setup $(BUILD)/build.ninja
	ninja -C $(BUILD)
	ctest --test-dir $(BUILD) -L slow --output-on-failure --no-tests=error -j $(JOBS)

# The demos. Each step is a file that the next one needs, so `make demo` again goes on where it was stopped; Ctrl-C
# leaves a checkpoint. `rm -rf demo` starts over. DEMO_SET passes settings on: make demo DEMO_SET="--set budget.seconds=60".
NORMLAB := $(BUILD)/normlab
DEMO_SET ?=
say = @printf '\n== %s\n'

demo: build
	@$(MAKE) --no-print-directory demo/run/finished
	$(say) 'evaluate: perplexity on text that was never seen'
	@$(NORMLAB) eval ppl --model demo/run --data demo/corpus/test.txt --window strided | tee demo/eval.txt
	@$(MAKE) --no-print-directory demo/report.html
	$(say) 'done: open demo/report.html; the model is demo/run'

demo-mlm: build
	@$(MAKE) --no-print-directory demo-mlm/run/finished
	$(say) 'evaluate: seeded masks on text that was never seen, beside the entropy of single tokens'
	@$(NORMLAB) eval ppl --model demo-mlm/run --data demo-mlm/tokens/test | tee demo-mlm/eval.txt
	@$(MAKE) --no-print-directory demo-mlm/report.html
	$(say) 'done: open demo-mlm/report.html; the model is demo-mlm/run'

%/corpus/manifest.json:
	$(say) "corpus: Jane Austen's novels, cleaned and split (into $*/corpus)"
	@$(NORMLAB) corpus janeausten --out $*/corpus || \
	  { echo 'janeausten is not to be had here; taking the Python manual'; $(NORMLAB) corpus python-doc --out $*/corpus; }

demo/tokenizer/tokenizer.json: demo/corpus/manifest.json
	$(say) 'tokenizer: byte pairs, 4096 tokens'
	@$(NORMLAB) tokenizer train --input demo/corpus/train.txt --vocab-size 4096 --special '<|endoftext|>' --out demo/tokenizer

demo-mlm/tokenizer/tokenizer.json: demo-mlm/corpus/manifest.json
	$(say) 'tokenizer: byte pairs, 288 tokens (a masked LM leaves the unigram plateau sooner with few)'
	@$(NORMLAB) tokenizer train --input demo-mlm/corpus/train.txt --vocab-size 288 --special '<s>' --special '<pad>' \
	  --special '</s>' --special '<mask>' --out demo-mlm/tokenizer

%/tokens/done: %/tokenizer/tokenizer.json
	$(say) 'prepare: text to token shards'
	@$(NORMLAB) prepare --tokenizer $*/tokenizer --input $*/corpus --units $(if $(findstring mlm,$*),line,document) --out $*/tokens
	@touch $@

%/run/finished: %/tokens/done
	$(say) 'train: docs/configs/$*.json$(if $(DEMO_SET), with $(DEMO_SET), (five minutes)) (Ctrl-C stops; make $* goes on)'
	@$(NORMLAB) train --config docs/configs/$*.json $(DEMO_SET) --out $*/run --resume
	@touch $@

demo/run/sample.txt: demo/run/finished
	$(say) 'sample: the model goes on from a prompt'
	@{ $(NORMLAB) generate --model demo/run --prompt "It is a truth" --tokens 120 --temperature 0.8 --top-k 50 2>$@.log || \
	  { cat $@.log >&2; false; }; } | tee $@.part
	@tail -n1 $@.log; rm -f $@.log; mv $@.part $@

demo-mlm/run/sample.txt: demo-mlm/run/finished
	$(say) 'fill-mask: what the model puts in place of <mask>'
	@$(NORMLAB) fill-mask --model demo-mlm/run "She was very ha<mask>py to see <mask>im." | tee $@.part
	@mv $@.part $@

# A report shows the sample.txt that it finds in a run.
%/report.html: %/run/sample.txt
	$(say) 'report: curves, gradients and gains by layer, final numbers, the sample'
	@$(NORMLAB) report $*/run --out $@

# The study: parts and commands are in docs/study/parts.mk.
include docs/study/parts.mk

.PRECIOUS: %/corpus/manifest.json %/tokenizer/tokenizer.json %/tokens/done %/run/finished %/run/sample.txt %/report.html

test-asan: setup
	cmake -S . -B build-asan -G Ninja -DNORMLAB_ASAN=ON
	ninja -C build-asan
	ctest --test-dir build-asan -L fast --output-on-failure --no-tests=error -j $(JOBS)

test-tsan: setup
	cmake -S . -B build-tsan -G Ninja -DNORMLAB_TSAN=ON
	ninja -C build-tsan
	ctest --test-dir build-tsan -L fast --output-on-failure --no-tests=error -j $(JOBS)

# Compiles every box but the files that need a generated header or MPI; kernels down to assembly.
ARM64 := aarch64-linux-gnu-g++ -std=c++20 -Wall -Wextra -Werror -Wno-unused-parameter \
  -Wno-missing-field-initializers -Wno-maybe-uninitialized -DENGINE_HAS_base=1 -DENGINE_ISA=base \
  -DNORMLAB_VERSION='""' -I. \
  -isystem /usr/include/eigen3 -idirafter /usr/include
ARM64_SKIPPED := train/tensorboard.cc engine/comm/plugins/plugin_mpi.cc
check-arm64: PACKAGES += g++-aarch64-linux-gnu
check-arm64: setup
	find engine nn models data train -name '*_cpu.cc' -print0 | xargs -0 -n1 -P$(JOBS) $(ARM64) -O1 -S -o /dev/null
	find engine nn models data train -name '*.cc' ! -name '*_cpu.cc' $(patsubst %,! -path %,$(ARM64_SKIPPED)) -print0 | \
	  xargs -0 -n1 -P$(JOBS) $(ARM64) -fsyntax-only

# Every kernel file by nvcc, for every card that we build for: no spilled registers, no local memory.
CUDA_ARCHS := 80 86 89 90a 100
NVCC := nvcc -std=c++20 -O3 --expt-relaxed-constexpr -DENGINE_GPU=cuda -DENGINE_HAS_cuda=1 -I. -Xptxas -warn-spills,-warn-lmem-usage,-Werror
cuda-archs:
	@command -v nvcc >/dev/null || { echo "make cuda-archs needs CUDA's nvcc (12.8 or later) on PATH"; exit 1; }
	for arch in $(CUDA_ARCHS); do for file in $(wildcard engine/*/*_cuda.cu); do echo "$$arch $$file"; done; done | \
	  xargs -P$(JOBS) -L1 sh -c '$(NVCC) -gencode arch=compute_$$0,code=sm_$$0 -c -o /dev/null $$1 || { echo "$$1 for $$0" >&2; exit 255; }'

fuzz: PACKAGES += $(FUZZ_PACKAGES)
fuzz: setup
	cmake -S . -B build-fuzz -G Ninja -DNORMLAB_FUZZ=ON -DCMAKE_C_COMPILER=clang-14 -DCMAKE_CXX_COMPILER=clang++-14
	ninja -C build-fuzz $(patsubst tests/fuzz/%.cc,%,$(filter-out %_main.cc,$(wildcard tests/fuzz/fuzz_*.cc)))
	tests/fuzz/run.py build-fuzz --seconds $(FUZZ_SECONDS)

figures: build
	NORMLAB=$(abspath $(NORMLAB)) docs/figures/make.py

# The site searches only when it is served: python3 -m http.server -d build/book
book: PACKAGES += $(BOOK_PACKAGES)
book: setup
	test -x $(BUILD)/book-venv/bin/mkdocs || { python3 -m venv $(BUILD)/book-venv && $(BUILD)/book-venv/bin/pip install -q $(BOOK_GENERATOR); }
	NO_MKDOCS_2_WARNING=1 $(BUILD)/book-venv/bin/mkdocs build -q --strict -f book/mkdocs.yml -d $(abspath $(BUILD))/book
	@echo 'build/book/index.html; with search: python3 -m http.server -d $(BUILD)/book'

format:
	git ls-files '*.cc' '*.h' | xargs clang-format -i

clean:
	rm -rf build build-asan build-tsan build-fuzz
