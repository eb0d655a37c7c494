#!/usr/bin/env bash
# All that is to be learned from a GPU in half an hour, what tells most first. Run it in the folder that bundle.sh made.
#
#   ./run_all.sh [PART...]      parts: correct train speed profile; default: all, in this order
#
# Exit 2 where the device cannot be had. Every step has a time limit and goes on to the next whatever happens. Its output is kept in $RESULTS (default: results),
# with results.json; a short table comes last. NORMLAB_DEVICE=cuda-host tries the script on the stand-in, with small work.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
export LD_LIBRARY_PATH=$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export NORMLAB_SHARED=$PWD/shared
export NORMLAB_DEVICE=${NORMLAB_DEVICE:-cuda}
results=${RESULTS:-$PWD/results}
mkdir -p "$results"
parts=${*:-correct train speed profile}
host=$([ "$NORMLAB_DEVICE" = cuda-host ] && echo yes || echo no)
summary=()
json=()

# step NAME SECONDS COMMAND...
step() {
  local name=$1 limit=$2 log=$results/$1.log start end code
  shift 2
  printf '\n== %s (at most %s s): %s\n' "$name" "$limit" "$*"
  start=$(date +%s.%N)
  timeout -k 5 "$limit" "$@" >"$log" 2>&1
  code=$?
  end=$(date +%s.%N)
  tail -n 12 "$log"
  local seconds
  seconds=$(awk -v a="$start" -v b="$end" 'BEGIN {printf "%.1f", b - a}')
  summary+=("$(printf '%-26s %5s %8s s' "$name" "$([ $code = 0 ] && echo ok || echo "$code")" "$seconds")")
  json+=("{\"step\": \"$name\", \"code\": $code, \"seconds\": $seconds}")
}
has() { command -v "$1" >/dev/null; }
wants() { [[ " $parts " == *" $1 "* ]]; }

cat about.txt
if [ $host = no ] && ! said=$(timeout 120 ./normlab bench gemm --device cuda --repeats 1 2>&1); then
  printf '%s\n' "$said" | tail -n 3
  echo "run_all.sh: nothing to learn here; NORMLAB_DEVICE=cuda-host ./run_all.sh tries the steps on the stand-in"
  exit 2
fi
has nvidia-smi && nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader

if wants correct; then
  step fragments 60 ./test_gpu "gpu: fragments"
  step same-bits 60 ./test_gpu "gpu: what must be the CPU's bits"
  step op-table 240 ./test_gpu "gpu: every row of the op table"
  [ $host = no ] && step product-peaks 60 ./normlab bench gemm --device cuda --repeats 20
  step reference-models 180 ./test_gpu "gpu: reference models*"
fi
if wants train; then
  step replay-is-the-step 90 ./test_gpu "gpu: a replayed micro-step*"
  step trainings 120 ./test_gpu "gpu: trainings of two layers*"
  if [ $host = no ] && has compute-sanitizer; then
    for tool in memcheck racecheck initcheck synccheck; do
      NORMLAB_ROWS="[3" step "sanitizer-$tool" 75 compute-sanitizer --tool $tool --error-exitcode 9 ./test_gpu \
        "gpu: every row of the op table"
    done
  fi
  # All of them take the stand-in a quarter of an hour; its own tests have them in another folder.
  [ $host = yes ] && NORMLAB_ROWS=softmax step gradcheck 120 ./test_gpu "gpu: gradients of every row*"
  [ $host = no ] && step gradcheck 120 ./test_gpu "gpu: gradients of every row*"
fi
if wants speed; then
  if [ $host = no ]; then
    step bench-ops 90 ./normlab bench ops --device cuda --json
    for precision in bf16 f16; do
      for norms in pre_ln normformer hybridnorm; do
        step "step-gpt-$norms-$precision" 40 ./normlab bench step gpt-b16 --device cuda --precision $precision \
          --norms $norms --steps 20 --json
        step "step-roberta-$norms-$precision" 40 ./normlab bench step roberta --batch 32 --device cuda \
          --precision $precision --norms $norms --steps 20 --json
      done
    done
    has python3 && python3 -c 'import torch' 2>/dev/null &&
      step torch-twin 180 python3 torch_step.py --rows 16 --length 1024 --modes eager,compile
  else
    step traffic-ops 300 ./normlab bench ops --device cuda-host --traffic
    step traffic-step 60 ./normlab bench step tiny --device cuda-host --traffic --precision bf16
    step step-tiny 60 ./normlab bench step tiny --device cuda-host --steps 2 --json
  fi
fi
if wants profile && [ $host = no ] && has ncu; then
  for op in softmax layer_norm adamw; do
    step "ncu-$op" 90 ncu --set basic --launch-count 6 ./normlab bench ops $op --device cuda --repeats 1
  done
fi

{
  printf '{"device": "%s", "steps": [' "$NORMLAB_DEVICE"
  (IFS=,; printf '%s' "${json[*]}")
  printf ']}\n'
} >"$results/results.json"
printf '\n'
printf '%s\n' "${summary[@]}"
! printf '%s' "${json[*]}" | grep -q '"code": [^0]'
