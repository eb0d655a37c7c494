#!/usr/bin/env bash
# All that is to be learned from a GPU in half an hour, what tells most first. Run it in the folder that bundle.sh made.
#
#   ./run_all.sh [PART...]      parts: correct train speed roberta profile; default: all, in this order
#
# Exit 2 where the programs do not start or the device cannot be had; where it can and its products fail, the steps are tried all the same. Every step has a time limit (a part's add up to less than ten minutes) and goes on to the next whatever
# happens. Its output is kept in $RESULTS (default: results), with results.json, and as one file in $ARCHIVE (default: results.tgz); a short table
# comes last. NORMLAB_DEVICE=cuda-host tries the script on the stand-in, with small work.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
export NORMLAB_SHARED=$PWD/shared
export NORMLAB_DEVICE=${NORMLAB_DEVICE:-cuda}
results=$(realpath -m "${RESULTS:-results}")
archive=$(realpath -m "${ARCHIVE:-results.tgz}")
mkdir -p "$results"
export NORMLAB_TEST_FOLDER=$results
# cuBLASLt and NCCL where only PyTorch has brought them.
if [ -z "${NORMLAB_CUDA_PATH:-}" ] && command -v python3 >/dev/null; then
  NORMLAB_CUDA_PATH=$(python3 -c 'import glob, site; print(":".join(p for s in site.getsitepackages() for p in glob.glob(s + "/nvidia/*/lib")))' 2>/dev/null)
  export NORMLAB_CUDA_PATH
fi
parts=${*:-correct train speed roberta profile}
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
# training_steps NAME WORK...
training_steps() {
  local name=$1 precision norms
  shift
  for precision in bf16 f16; do
    for norms in pre_ln normformer hybridnorm; do
      step "step-$name-$norms-$precision" 40 ./normlab bench step "$@" --device cuda --precision $precision \
        --norms $norms --steps 20 --json
    done
  done
}

cat about.txt
if ! said=$(timeout 60 ./normlab --version 2>&1); then
  printf '%s\n' "$said" | tail -n 3
  echo "run_all.sh: the programs do not start here"
  exit 2
fi
if [ $host = no ] && ! said=$(timeout 60 ./normlab bench gemm --device cuda --repeats 1 2>&1); then
  printf '%s\n' "$said" | tail -n 3
  if [[ $said == *"take cuda-host"* || $said == *"this build has"* ]]; then  # every refusal of a device says so
    echo "run_all.sh: nothing to learn here; NORMLAB_DEVICE=cuda-host ./run_all.sh tries the steps on the stand-in"
    exit 2
  fi
  echo "run_all.sh: products fail, or took more than a minute"
fi
has nvidia-smi && nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader

if wants correct; then
  step fragments 30 ./test_gpu -w NoTests "gpu: fragments"
  step same-bits 30 ./test_gpu -w NoTests "gpu: what must be the CPU's bits"
  step op-table 200 ./test_gpu -w NoTests "gpu: every row of the op table"
  [ $host = no ] && step product-peaks 60 ./normlab bench gemm --device cuda --repeats 20
  step reference-models 180 ./test_gpu -w NoTests "gpu: reference models*"
fi
if wants train; then
  step replay-is-the-step 60 ./test_gpu -w NoTests "gpu: a replayed micro-step*"
  step trainings 100 ./test_gpu -w NoTests "gpu: trainings of two layers*"
  if [ $host = no ] && has compute-sanitizer; then
    for tool in memcheck racecheck initcheck synccheck; do
      NORMLAB_ROWS="[3" step "sanitizer-$tool" 60 compute-sanitizer --tool $tool --error-exitcode 9 ./test_gpu \
        -w NoTests "gpu: every row of the op table"
    done
  fi
  # All of them take the stand-in a quarter of an hour; its own tests have them in another folder.
  [ $host = yes ] && NORMLAB_ROWS=softmax step gradcheck 120 ./test_gpu -w NoTests "gpu: gradients of every row*"
  [ $host = no ] && step gradcheck 120 ./test_gpu -w NoTests "gpu: gradients of every row*"
fi
if wants speed; then
  if [ $host = no ]; then
    step bench-ops 90 ./normlab bench ops --device cuda --json
    training_steps gpt gpt-b16
    has python3 && python3 -c 'import torch' 2>/dev/null &&
      step torch-twin 180 python3 torch_step.py --rows 16 --length 1024 --modes eager,compile
  else
    step traffic-ops 300 ./normlab bench ops --device cuda-host --traffic
    step traffic-step 60 ./normlab bench step tiny --device cuda-host --traffic --precision bf16
    step step-tiny 60 ./normlab bench step tiny --device cuda-host --steps 2 --json
  fi
fi
wants roberta && [ $host = no ] && training_steps roberta roberta --batch 32
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
tar -C "$results" -czf "$archive" .
printf '\n'
printf '%s\n' "${summary[@]}"
! printf '%s' "${json[*]}" | grep -q '"code": [^0]'
