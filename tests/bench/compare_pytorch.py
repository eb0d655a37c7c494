"""Training steps of PyTorch and of `normlab bench step`, interleaved A B A B on the same shapes.

    python3 tests/bench/compare_pytorch.py --python VENV/bin/python --normlab build/normlab --work gpt-b4 --pairs 5

Each pair is two fresh processes, so that neither keeps memory or threads from the other. Prints tokens/s, seconds to
the end of the first step, peak memory of the process, and the ratio pair by pair with its spread. PyTorch runs
with scaled_dot_product_attention, fused AdamW and gradient clipping; bf16 is autocast. --modes eager,compile runs it
both ways in every pair, and the ratio is to the faster one of the pair.
The works are those of train/bench/step_bench.cc.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

# name: layers, width, heads, vocabulary, masked LM, rows, length
WORKS = {
    "gpt-b4": (12, 768, 12, 50304, False, 4, 256),
    "gpt-b1": (12, 768, 12, 50304, False, 1, 1024),
    "roberta": (12, 768, 12, 50304, True, 4, 512),
    "small": (6, 384, 6, 8192, False, 16, 256),
    "tiny": (2, 64, 2, 256, False, 2, 32),
}


def pytorch_step(work, precision, steps, threads, mode):
    """Runs in the virtual environment: prints one JSON object."""
    import resource

    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    layers, width, heads, vocabulary, masked, rows, length = WORKS[work]
    start = time.perf_counter()

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1))
            a = F.scaled_dot_product_attention(q, k, v, is_causal=not masked)
            x = x + self.out(a.transpose(1, 2).flatten(2))
            return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="none" if masked else "tanh"))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(max(length, 1024), width)
            self.layers = nn.ModuleList(Layer() for _ in range(layers))
            self.norm = nn.LayerNorm(width)
            if masked:
                self.dense, self.head_norm = nn.Linear(width, width), nn.LayerNorm(width)
                self.head_bias = nn.Parameter(torch.zeros(vocabulary))

        def forward(self, ids, scored, labels):
            x = self.tokens(ids) + self.positions.weight[:length]
            for layer in self.layers:
                x = layer(x)
            x = self.norm(x).flatten(0, 1)
            if masked:  # the head at scored positions only
                logits = F.linear(self.head_norm(F.gelu(self.dense(x[scored]))), self.tokens.weight, self.head_bias)
            else:
                logits = F.linear(x, self.tokens.weight)
            return F.cross_entropy(logits.float(), labels)

    model = Model()
    for p in model.parameters():
        if p.dim() > 1:
            nn.init.normal_(p, std=0.02)
    run = torch.compile(model) if mode == "compile" else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    ids = torch.randint(vocabulary, (rows, length))
    scored = torch.nonzero(torch.rand(rows * length) < 0.15).flatten() if masked else None
    labels = torch.randint(vocabulary, (len(scored) if masked else rows * length,))

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = run(ids, scored, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()
    first = time.perf_counter() - start
    times = []
    for _ in range(steps):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"speed": rows * length / statistics.median(times), "first": first, "peak": peak}))


def run_pytorch(options, mode):
    words = [options.python, __file__, "--worker", "--modes", mode, "--work", options.work, "--precision", options.precision]
    words += ["--steps", str(options.steps), "--threads", str(options.threads)]
    # malloc that never gives pages back: freeing and faulting them in again costs PyTorch a third of a step
    environment = dict(os.environ, MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_="-1", MALLOC_TOP_PAD_="268435456")
    return json.loads(subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout)


def run_normlab(options):
    words = [options.normlab, "bench", "step", options.work, "--precision", options.precision, "--json"]
    words += ["--norms", options.norms, "--steps", str(options.steps), "--threads", str(options.threads)]
    output = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    value = {row["name"]: row["value"] for row in output["results"]}
    return {
        "speed": output["results"][0]["value"],
        "first": value["from nothing to the end of the first step"],
        "peak": value["peak memory of the process"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has PyTorch")
    parser.add_argument("--normlab", default="build/normlab")
    parser.add_argument("--work", default="gpt-b4", choices=WORKS)
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16"])
    parser.add_argument("--norms", default="pre_ln", help="of normlab; PyTorch's model is pre-norm")
    parser.add_argument("--modes", default="eager", help="of PyTorch: eager, compile, or eager,compile")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each process, after the first")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return pytorch_step(options.work, options.precision, options.steps, options.threads, options.modes)

    print(f"{options.work} {options.precision}, {options.threads} threads, load {os.getloadavg()[0]:.1f}")
    ratios = []
    for pair in range(options.pairs):
        theirs = {f"PyTorch {mode}": run_pytorch(options, mode) for mode in options.modes.split(",")}
        ours = run_normlab(options)
        for name, r in {**theirs, "normlab": ours}.items():
            print(f"  {name:15}  {r['speed']:8.1f} tok/s   first step {r['first']:6.1f} s   peak {r['peak']:5.2f} GiB")
        best = max(theirs.values(), key=lambda r: r["speed"])
        ratios.append(ours["speed"] / best["speed"])
        print(f"  pair {pair + 1}: {ratios[-1]:.2f}, memory {ours['peak'] / best['peak']:.2f}", flush=True)
    print(f"ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}", flush=True)


if __name__ == "__main__":
    main()
