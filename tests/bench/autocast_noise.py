#!/usr/bin/env python3
"""How much of PyTorch's own rounding error is chance, on models of the reference collection.

    VENV/bin/python tests/bench/autocast_noise.py ORACLE.py CASE TENSOR [TENSOR ...]     e.g. layers.1.attn.post_norm.alpha
    VENV/bin/python tests/bench/autocast_noise.py ORACLE.py COLLECTION

The first form computes the gradients of a case in float64 and under bf16 autocast, for the case's weights and for --draws
copies in which every weight is changed by a thousandth: models that are as good, rounded differently. It prints, for each
tensor, PyTorch's error with the case's own weights, the limit that the tests make of it (four times the larger of it and
the median error of the case's gradients), the quartiles over the copies, and how many of PyTorch's own copies are beyond
the limit.

The second form does that with every case of a folder of cases, in f32 (limit: 1e-5 or three times the recorded error) and
bf16, and prints for each draw how many gradients of PyTorch's copies are beyond the limits that PyTorch's recorded errors
set, in how many cases the root mean square is, and the same with nothing rounded but the operands of the layers' and the
head's products, to bf16 (all else in float64): what no implementation in bf16 can avoid. Needs torch, numpy and
safetensors.
"""

import argparse
import importlib.util
import json
import math
import os
import statistics

import torch
from safetensors.torch import load_file


def load_module(path):
    spec = importlib.util.spec_from_file_location("oracle", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_json(path):
    with open(path) as file:
        return json.load(file)


class RoundedProduct(torch.autograd.Function):
    """x W^T in float64, of operands rounded to bf16; the gradients are those of this product, not rounded."""

    @staticmethod
    def forward(ctx, x, weight):
        x, weight = (t.bfloat16().double() for t in (x, weight))
        ctx.save_for_backward(x, weight)
        return x @ weight.T

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        rows = lambda t: t.reshape(-1, t.shape[-1])
        return dy @ weight, rows(dy).T @ rows(x)


class RoundedFunctions:
    """torch.nn.functional as the oracle uses it, with linear() of rounded operands."""

    def __getattr__(self, name):
        return getattr(torch.nn.functional, name)

    def linear(self, x, weight, bias=None):
        y = RoundedProduct.apply(x, weight)
        return y if bias is None else y + bias


class Case:
    def __init__(self, oracle, folder):
        self.oracle, self.config = oracle, read_json(f"{folder}/config.json")
        self.batch, self.weights = read_json(f"{folder}/tokens.json"), load_file(f"{folder}/model.safetensors")

    def copy(self, seed):
        generator = torch.Generator().manual_seed(seed)
        size = 1e-3 if seed else 0.0
        return {name: t * (1 + size * torch.randn(t.shape, generator=generator)) for name, t in self.weights.items()}

    def gradients(self, weights, dtype):
        tensors = self.oracle.run(weights, self.config, self.batch, dtype)
        return {name: t for name, t in tensors.items() if name.startswith("grad.")}

    def errors(self, weights, dtype):
        return self.oracle.errors(self.gradients(weights, dtype), self.gradients(weights, torch.float64))

    def errors_of_rounded_operands(self, weights):
        exact, functions = self.gradients(weights, torch.float64), self.oracle.F
        self.oracle.F = RoundedFunctions()
        rounded = self.gradients(weights, torch.float64)
        self.oracle.F = functions
        return self.oracle.errors(rounded, exact)


def limits(recorded, precision):
    middle = statistics.median(recorded.values())
    if precision == "f32":
        return {name: max(1e-5, 3 * value) for name, value in recorded.items()}
    return {name: 4 * max(value, middle) for name, value in recorded.items()}


def root_of_squares(errors):
    return math.sqrt(sum(value * value for value in errors.values()))


def one_case(oracle, folder, tensors, draws):
    case = Case(oracle, folder)
    own = case.errors(case.copy(0), torch.bfloat16)
    limit = limits(own, "bf16")
    copies = [case.copy(seed) for seed in range(1, draws + 1)]
    kinds = {"PyTorch": [case.errors(copy, torch.bfloat16) for copy in copies],
             "rounded operands": [case.errors_of_rounded_operands(copy) for copy in copies]}
    for tensor in tensors:
        name = "grad." + tensor
        print(f"{tensor}: error {own[name]:.3f}, limit {limit[name]:.3f}; {draws} copies:")
        for kind, errors in kinds.items():
            values = [error[name] for error in errors]
            mean = math.sqrt(sum(v * v for v in values) / draws)
            quartiles = ", ".join(f"{q:.3f}" for q in statistics.quantiles(values, n=4))
            print(f"  {kind}: root mean square {mean:.3f}, quartiles {quartiles}, largest {max(values):.3f}, "
                  f"beyond the limit {sum(v > limit[name] for v in values)}")


def collection(oracle, root, draws):
    rows = [("f32", f"copy {seed}", seed) for seed in range(1, draws + 1)]
    rows += [("bf16", f"copy {seed}", seed) for seed in range(1, draws + 1)]
    rows += [("bf16", f"operands {seed}", seed) for seed in range(draws + 1)]
    beyond = {row: [0, 0, 0] for row in rows}  # gradients, root mean squares, cases with either
    cases = 0
    for name in sorted(os.listdir(root)):
        folder = f"{root}/{name}"
        if not os.path.exists(f"{folder}/pytorch_errors.json"):
            continue
        case, recorded_all = Case(oracle, folder), read_json(f"{folder}/pytorch_errors.json")
        cases += 1
        for row in rows:
            precision, what, seed = row
            recorded = {k: v for k, v in recorded_all[precision].items() if k.startswith("grad.")}
            if what.startswith("operands"):
                errors = case.errors_of_rounded_operands(case.copy(seed))
            else:
                errors = case.errors(case.copy(seed), torch.float32 if precision == "f32" else torch.bfloat16)
            limit = limits(recorded, precision)
            gradients = sum(value > limit[k] for k, value in errors.items())
            mean = precision == "bf16" and root_of_squares(errors) > 2 * root_of_squares(recorded)
            for i, count in enumerate((gradients, mean, gradients > 0 or mean)):
                beyond[row][i] += int(count)
    print(f"{cases} cases; beyond PyTorch's own limits: gradients, root mean squares, cases")
    for (precision, what, _), (gradients, means, touched) in beyond.items():
        print(f"  {precision:5} {what:10} {gradients:4} {means:4} {touched:4}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("oracle", help="oracle.py of the collection")
    parser.add_argument("case", help="folder of the case, or of cases")
    parser.add_argument("tensors", nargs="*", help="names of parameters")
    parser.add_argument("--draws", type=int, default=0, help="24 for a case, 3 for a collection")
    args = parser.parse_args()
    oracle = load_module(args.oracle)
    if args.tensors:
        one_case(oracle, args.case, args.tensors, args.draws or 24)
    else:
        collection(oracle, args.case, args.draws or 3)


if __name__ == "__main__":
    main()
