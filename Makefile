# The short way to the common jobs; cmake --preset NAME gives every choice.

.PHONY: all deps build quickstart check format bench docs
.NOTPARALLEL:  # dependencies before builds; JOBS says how parallel a build is

JOBS ?= $(shell nproc)
PYTHON ?= /usr/bin/python3
BUILD := build/release

all: build

deps:
	cmake/install_debian_dependencies.sh

build:
	cmake --preset release
	cmake --build --preset release --parallel $(JOBS) --target strait

# Trains a small LLaMA on 2 ranks, prints what it writes and draws the run. Replaces an earlier quickstart.
quickstart: deps build
	$(PYTHON) inputs/prepare_quickstart_text.py --output data/quickstart
	rm -rf output/quickstart
	$(BUILD)/mpiexec -n 2 $(BUILD)/strait inputs/quickstart.toml
	$(PYTHON) docs/analysis/plot_run.py output/quickstart/metrics.h5 --output output/quickstart/run.png
	@echo "Output: output/quickstart   plot: output/quickstart/run.png"

# The whole suite, the format check among it; our own warnings are errors. The benchmarks are built and run once.
check: deps
	cmake --preset release -DSTRAIT_WERROR=ON -DSTRAIT_BENCHMARKS=ON
	cmake --build --preset release --parallel $(JOBS)
	ctest --preset release

format:
	find include src tests perf -name '*.hpp' -o -name '*.cpp' | xargs clang-format -i

# All benchmarks, as JSON. To compare two: perf/compare_benchmarks.py OLD.json NEW.json. BENCH_FLAGS=--benchmark_filter=...
# chooses. perf/compare_pytorch.py is the side-by-side with PyTorch.
BENCH_OUTPUT ?= $(BUILD)/perf/benchmarks.json
BENCH_FLAGS ?=
bench: deps
	cmake --preset release -DSTRAIT_BENCHMARKS=ON
	cmake --build --preset release --parallel $(JOBS) --target strait_benchmark
	$(BUILD)/perf/strait_benchmark --benchmark_min_time=0.1 --benchmark_repetitions=5 --benchmark_display_aggregates_only=true \
	  --benchmark_out=$(BENCH_OUTPUT) --benchmark_out_format=json $(BENCH_FLAGS)

# The deck reference, from the code that reads the deck; these overrides make it read the keys of every component. The
# keys that other codecs have instead are the last rows.
ALL_KEYS := --set optimizer.name=muon --set codec.name=mapl --set codec.rank=40 --set pipeline.schedule=pipedream \
  --set training.sequences_per_step=2
CODEWORDS := --set codec.rvq.groups=8 --set codec.rvq.rounds=2 --set codec.rvq.codewords=256

docs: build
	{ cat docs/deck_head.md; \
	  $(BUILD)/strait inputs/quickstart.toml --deck-reference $(ALL_KEYS) | sed '/^| .vector_fraction. /q'; \
	  $(BUILD)/strait inputs/quickstart.toml --deck-reference --set optimizer.name=basis-rotation \
	    | grep -E '^. .(source|two_sided|refresh|stage_refresh|stagger). '; \
	  $(BUILD)/strait inputs/quickstart.toml --deck-reference $(ALL_KEYS) | sed '1,/^| .vector_fraction. /d'; \
	  $(BUILD)/strait inputs/quickstart.toml --deck-reference --set codec.name=ssn --set codec.rank=40 \
	    | grep -E '^. .(table_deviation|grassmann_interval|grassmann_rate). '; \
	  $(BUILD)/strait inputs/quickstart.toml --deck-reference --set codec.name=int4 | grep '^| .group_size. '; \
	  $(BUILD)/strait inputs/quickstart.toml --deck-reference --set codec.name=topk --set codec.k=40 | grep '^| .k. '; \
	  echo; $(BUILD)/strait inputs/quickstart.toml --deck-reference $(ALL_KEYS) $(CODEWORDS) | sed -n '/^## .codec.rvq/,$$p'; \
	} > docs/deck.md
