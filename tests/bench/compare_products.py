"""The products of a GPT-2 124M step by PyTorch (its oneDNN) and by `normlab bench gemm`, interleaved A B A B.

    python3 tests/bench/compare_products.py --python VENV/bin/python --normlab build/normlab --precision f32 --pairs 5

The same fifteen products at 1,024 tokens as engine/bench/gemm_bench.cc: y = x W^T, dx = dy W and dW = dy^T x of each kind
of layer. Each pair is two fresh processes on the same threads; of a process the best sample of each product counts.
Prints GFLOP/s of each product (the best of all pairs), the total weighted by how often a step forms each, and the
ratio of the totals pair by pair. PyTorch's results have the operands' type; ours add gradients of weights to f32.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time

TOKENS = 1024
# name: in, out, how many of them a step has
LAYERS = {"qkv": (768, 2304, 12), "proj": (768, 768, 12), "fc": (768, 3072, 12), "fc2": (3072, 768, 12), "head": (768, 50304, 1)}
PRODUCTS = ("y", "dx", "dW")


def pytorch_products(precision, repeats, threads):
    """Runs in the virtual environment: prints the best seconds of each product as one JSON object."""
    import torch

    torch.set_num_threads(threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
    best = {}
    with torch.no_grad():
        tensors = {}
        for name, (width, out, _) in LAYERS.items():
            x, w, dy = (torch.full(s, 0.01, dtype=dtype) for s in ((TOKENS, width), (out, width), (TOKENS, out)))
            results = [torch.empty(s, dtype=dtype) for s in ((TOKENS, out), (TOKENS, width), (out, width))]
            tensors[name] = ((x, w.t()), (dy, w), (dy.t(), x)), results
        for round in range(-1, repeats):  # the first touches memory and is not counted
            for name, (operands, results) in tensors.items():
                for product, (a, b), result in zip(PRODUCTS, operands, results):
                    begin = time.perf_counter()
                    torch.mm(a, b, out=result)
                    seconds = time.perf_counter() - begin
                    if round >= 0:
                        key = f"{name} {product}"
                        best[key] = min(best.get(key, 1e30), seconds)
    print(json.dumps(best))


def flops(name):
    width, out, _ = LAYERS[name.split()[0]]
    return 2.0 * TOKENS * width * out


def run_pytorch(options):
    words = [options.python, __file__, "--worker", "--precision", options.precision]
    words += ["--repeats", str(options.repeats), "--threads", str(options.threads)]
    best = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return {name: flops(name) / seconds * 1e-9 for name, seconds in best.items()}


def run_normlab(options):
    words = [options.normlab, "bench", "gemm", "--json", "--repeats", str(options.repeats), "--threads", str(options.threads)]
    rows = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)["results"]
    speed = {}
    for row in rows:
        match = re.fullmatch(r"(\w+) (y|dx|dW) \+?= .* (f32|bf16) \[.*\]", row["name"])
        if match and match[3] == options.precision:
            speed[f"{match[1]} {match[2]}"] = row["value"]
    return speed


def total(speed):
    """GFLOP/s of all products of a step together."""
    count = {name: LAYERS[name.split()[0]][2] for name in speed}
    return sum(count[n] * flops(n) for n in speed) / sum(count[n] * flops(n) / speed[n] for n in speed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has PyTorch")
    parser.add_argument("--normlab", default="build/normlab")
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=9, help="samples of each product in a process")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return pytorch_products(options.precision, options.repeats, options.threads)

    print(f"{options.precision}, {options.threads} threads, load {os.getloadavg()[0]:.1f}")
    best = {"PyTorch": {}, "normlab": {}}
    ratios = []
    for pair in range(options.pairs):
        speeds = {"PyTorch": run_pytorch(options), "normlab": run_normlab(options)}
        if set(speeds["PyTorch"]) != set(speeds["normlab"]):
            sys.exit(f"not the same products: {sorted(speeds['PyTorch'])} and {sorted(speeds['normlab'])}")
        for who, speed in speeds.items():
            for name, value in speed.items():
                best[who][name] = max(best[who].get(name, 0.0), value)
        ratios.append(total(speeds["normlab"]) / total(speeds["PyTorch"]))
        print(f"  pair {pair + 1}: PyTorch {total(speeds['PyTorch']):.0f}, normlab {total(speeds['normlab']):.0f} GFLOP/s, {ratios[-1]:.2f}", flush=True)
    for name in best["PyTorch"]:
        print(f"  {name:8}  PyTorch {best['PyTorch'][name]:7.0f}   normlab {best['normlab'][name]:7.0f}")
    print(f"ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
