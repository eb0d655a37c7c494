#!/usr/bin/env python3
"""How much of PyTorch's own bf16 error is chance, for one model of the reference collection.

    VENV/bin/python tests/bench/autocast_noise.py ORACLE.py CASE TENSOR [TENSOR ...]     e.g. layers.1.attn.post_norm.alpha

Computes the gradients of the case in float64 and under bf16 autocast, for the case's weights and for --draws copies in
which every weight is changed by a thousandth: models that are as good, rounded differently. Prints, for each tensor,
PyTorch's error with the case's own weights, the limit that the tests make of it (four times the larger of it and
the median error of the case's gradients), the quartiles over the copies, and how many of PyTorch's own copies are
beyond the limit. Needs torch, numpy and safetensors.
"""

import argparse
import importlib.util
import json
import statistics

import torch
from safetensors.torch import load_file


def load_module(path):
    spec = importlib.util.spec_from_file_location("oracle", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("oracle", help="oracle.py of the collection")
    parser.add_argument("case", help="folder of the case")
    parser.add_argument("tensors", nargs="+", help="names of parameters")
    parser.add_argument("--draws", type=int, default=24)
    args = parser.parse_args()

    oracle = load_module(args.oracle)
    with open(f"{args.case}/config.json") as file:
        config = json.load(file)
    with open(f"{args.case}/tokens.json") as file:
        batch = json.load(file)
    weights = load_file(f"{args.case}/model.safetensors")

    def errors(seed):
        generator = torch.Generator().manual_seed(seed)
        size = 1e-3 if seed else 0.0
        changed = {name: t * (1 + size * torch.randn(t.shape, generator=generator)) for name, t in weights.items()}
        truth = oracle.run(changed, config, batch, torch.float64)
        return oracle.errors(oracle.run(changed, config, batch, torch.bfloat16), truth)

    own = errors(0)
    middle = statistics.median(value for name, value in own.items() if name.startswith("grad."))
    draws = [errors(seed) for seed in range(1, args.draws + 1)]
    for tensor in args.tensors:
        name = "grad." + tensor
        limit = 4 * max(own[name], middle)
        values = [draw[name] for draw in draws]
        quartiles = statistics.quantiles(values, n=4)
        print(f"{tensor}: error {own[name]:.3f}, limit {limit:.3f}; {args.draws} copies: quartiles "
              + ", ".join(f"{q:.3f}" for q in quartiles)
              + f", largest {max(values):.3f}, beyond the limit {sum(v > limit for v in values)}")


if __name__ == "__main__":
    main()
