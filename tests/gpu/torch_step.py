#!/usr/bin/env python3
"""PyTorch's step of the same work as `normlab bench step gpt-b16`: GPT-2 124M, AdamW, bf16 autocast, one update timed
at a time. One JSON object per mode (eager, compile): tokens a second, and MFU by the 12 L C T formula at the given peak.

    torch_step.py --rows 16 --length 1024 --modes eager,compile
    torch_step.py --device cpu --layers 2 --width 64 --heads 2 --vocabulary 256 --rows 2 --length 32 --steps 2   (a try)
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate='tanh'))


class Model(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(a.vocabulary, a.width), nn.Embedding(a.length, a.width)
        self.blocks = nn.ModuleList(Block(a.width, a.heads) for _ in range(a.layers))
        self.norm = nn.LayerNorm(a.width)

    def forward(self, ids, labels):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())


def measure(a, mode):
    torch.manual_seed(1)
    cuda = a.device.startswith('cuda')
    model = Model(a).to(a.device)
    parameters = sum(p.numel() for p in model.parameters())
    step_model = torch.compile(model) if mode == 'compile' else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=cuda)
    ids = torch.randint(a.vocabulary, (a.rows, a.length), device=a.device)
    labels = torch.randint(a.vocabulary, (a.rows, a.length), device=a.device)
    times = []
    for i in range(a.steps + 3):
        if cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        with torch.autocast(a.device.split(':')[0], dtype=torch.bfloat16):
            loss = step_model(ids, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if cuda:
            torch.cuda.synchronize()
        if i >= 3:  # the first ones compile and fill caches
            times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    matrices = parameters - a.length * a.width
    flop = (6 * matrices + 12 * a.layers * a.width * a.length) * a.rows * a.length
    return {'mode': mode, 'parameters': parameters, 'seconds': seconds, 'tokens_per_second': a.rows * a.length / seconds,
            'mfu': flop / seconds / a.peak, 'loss': float(loss)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    for name, value in [('rows', 16), ('length', 1024), ('layers', 12), ('width', 768), ('heads', 12),
                        ('vocabulary', 50304), ('steps', 10)]:
        parser.add_argument('--' + name, type=int, default=value)
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--modes', default='eager,compile')
    parser.add_argument('--peak', type=float, default=989e12, help='FLOP/s that MFU is of: an H100 by its data sheet')
    args = parser.parse_args()
    for mode in args.modes.split(','):
        print(json.dumps(measure(args, mode)), flush=True)


if __name__ == '__main__':
    main()
