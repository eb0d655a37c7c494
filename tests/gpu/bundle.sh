#!/usr/bin/env bash
# Builds normlab and the tests that a GPU is asked, and lays them with the libraries that they need into a folder, for a
# machine that has a driver and CUDA's libraries and nothing of ours: no compiler is used there, nothing is fetched.
#
#   tests/gpu/bundle.sh [FOLDER]        default gpu-bundle, and FOLDER.tar.xz of it; on that machine: tar xf, FOLDER/run_all.sh
#
# ARCHS=90a   compute capabilities to build for, with semicolons (H100; A100: 80)
# CUDA=host   no GPU: the same folder with the stand-in, to try the scripts
# BUILD=build-gpu   where to build
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$(realpath -m "${1:-$root/gpu-bundle}")
build=${BUILD:-$root/build-gpu}
shared=${NORMLAB_SHARED:-$root/../shared}

cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DENGINE_CUDA="${CUDA:-on}" \
  -DENGINE_CUDA_ARCHS="${ARCHS:-90a}" -DNORMLAB_ONEDNN=OFF -DNORMLAB_CUDA_STRICT=ON \
  -DCMAKE_BUILD_RPATH='$ORIGIN/lib' -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags >"$build.log" 2>&1 || { tail -n 20 "$build.log" >&2; exit 1; }
ninja -C "$build" normlab test_gpu

rm -rf "$out"
mkdir -p "$out/lib" "$out/shared/reference"
for program in normlab tests/test_gpu; do
  install -m 755 -s "$build/$program" "$out/"
done
# Everything but the C library and its loader, which the other machine's own programs need as they are.
for program in normlab test_gpu; do
  ldd "$out/$program" | awk '$3 ~ /^\// {print $3}'
done | sort -u | grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*)\.so' | while read -r library; do
  install -m 644 "$library" "$out/lib/"
done
install -m 755 "$root/tests/gpu/run_all.sh" "$root/tests/gpu/torch_step.py" "$out/"
if [ -d "$shared/reference" ]; then
  for model in "$shared"/reference/*/; do
    [ -e "$model/expected.safetensors" ] && cp -r "$model" "$out/shared/reference/"
  done
else
  echo "no reference models at $shared/reference (NORMLAB_SHARED names their parent): the bundle goes without" >&2
fi
{
  echo "commit $(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown), ENGINE_CUDA=${CUDA:-on} for ${ARCHS:-90a}"
  objdump -T "$out/normlab" "$out/test_gpu" "$out"/lib/* | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1 | sed 's/^/needs /'
} >"$out/about.txt"
cat "$out/about.txt"
tar -C "$(dirname "$out")" -c "$(basename "$out")" | xz -T0 >"$out.tar.xz"
du -sh "$out" "$out.tar.xz"
