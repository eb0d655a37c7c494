"""Writes optimizer.json: a few steps of PyTorch's AdamW and SGD on 19 numbers, in float64.

    python optimizer.py > optimizer.json        (needs torch; the tests read the JSON only)
"""
import json

import torch

torch.manual_seed(1)
N, STEPS = 19, 5
start = torch.randn(N, dtype=torch.float64)
gradients = [torch.randn(N, dtype=torch.float64) * 10 ** (i - 2) for i in range(STEPS)]


def trace(optimizer_class, **settings):
    p = torch.nn.Parameter(start.clone())
    optimizer = optimizer_class([p], **settings)
    for g in gradients:
        p.grad = g.clone()
        optimizer.step()
    return {"settings": settings, "parameters": p.detach().tolist()}


print(json.dumps({
    "source": f"torch {torch.__version__.split('+')[0]}, float64, {STEPS} steps",
    "start": start.tolist(),
    "gradients": [g.tolist() for g in gradients],
    "adamw": [trace(torch.optim.AdamW, lr=lr, betas=betas, eps=eps, weight_decay=wd)
              for lr, betas, eps, wd in [(1e-3, (0.9, 0.999), 1e-8, 0.01), (0.1, (0.8, 0.95), 1e-3, 0.2),
                                         (0.01, (0.9, 0.98), 1e-6, 0.0)]],
    "sgd": [trace(torch.optim.SGD, lr=lr, momentum=m, weight_decay=wd)
            for lr, m, wd in [(0.1, 0.0, 0.0), (0.01, 0.9, 0.1), (0.3, 0.0, 0.05)]],
}, indent=1))
