#!/bin/bash -eu
# Builds and packs the fuzz target with all that it needs: where it runs there is no network, no kernel and no compiler.
cd "$SRC/skdiff"
export PYTHONPATH=$PWD/harness
work=$WORK/skdiff

# The extracted C has flags of its own, for the driver must not guide; the images' would come on top of them.
env -u CFLAGS -u CXXFLAGS python3 .clusterfuzzlite/prepare.py "$work" "$OUT"

compile_python_fuzzer .clusterfuzzlite/lookup_fuzzer.py \
	--paths "$PWD/harness" \
	--add-data "$PWD/csrc/record.h:skdiff/csrc" \
	--add-data "$PWD/csrc/steps.toml:skdiff/csrc" \
	--add-data "$work/reference/cases:skdiff/csrc/cases" \
	--add-data "$work/reference:reference"
