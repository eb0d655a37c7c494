"""How time and memory of a training step grow: one size changed at a time, beside the predicted curve.

    python3 tests/bench/sweep.py --normlab build/normlab --precision f32

The base is 4 layers of width 256 with 8,192 tokens and 4,096 tokens a batch, in rows of 256. Predicted time: the FLOPs of a
token, 6 x (12 layers width^2 + vocabulary width) + 6 layers width T (the causal half of the scores), at the base's
FLOPs a second, measured again before each size; memory: the plan that a run prints. Prints a Markdown table.
"""

import argparse
import json
import subprocess

BASE = {"layers": 4, "width": 256, "vocab-size": 8192, "length": 256, "batch": 16}
SWEEPS = {
    "length": [128, 256, 512, 1024, 2048, 4096],
    "layers": [2, 4, 8, 16],
    "width": [128, 256, 512, 1024],
    "vocab-size": [2048, 8192, 32768, 131072],
}


def flops(size):
    layers, width = size["layers"], size["width"]
    return 6 * (12 * layers * width**2 + size["vocab-size"] * width) + 6 * layers * width * size["length"]


def measure(options, size):
    words = [options.normlab, "bench", "step", "small", "--precision", options.precision, "--steps", str(options.steps), "--json"]
    for flag, value in size.items():
        words += ["--" + flag, str(value)]
    rows = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)["results"]
    memory = next(row for row in rows if row["name"] == "peak memory of tensors")
    return rows[0]["value"], memory["value"], memory["ceiling"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--normlab", default="build/normlab")
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16"])
    parser.add_argument("--steps", type=int, default=3, help="timed steps of each size; the median counts")
    parser.add_argument("--only", choices=list(SWEEPS), help="change this size alone")
    options = parser.parse_args()
    print("| changed | us a token | predicted | ratio | GiB | planned | ratio |\n|---|---|---|---|---|---|---|")
    for name, values in SWEEPS.items():
        for value in values if options.only in (None, name) else []:
            size = dict(BASE, **{name: value})
            if name == "length":
                size["batch"] = max(1, 4096 // value)
            base_speed = measure(options, BASE)[0]
            speed, memory, planned = measure(options, size)
            time, predicted = 1e6 / speed, 1e6 / base_speed * flops(size) / flops(BASE)
            print(
                f"| {name} {value} | {time:.0f} | {predicted:.0f} | {time / predicted:.2f} "
                f"| {memory:.2f} | {planned:.2f} | {memory / planned:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
