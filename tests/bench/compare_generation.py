"""Generation with a key-value cache, one sequence: Hugging Face `generate` and `normlab generate`, A B A B.

    python3 tests/bench/compare_generation.py --tokenizer GPT2-BPE-FOLDER --normlab build/normlab --pairs 5

Needs torch and transformers in the interpreter that runs it. Both continue the same prompt with the same random GPT-2
124M, written once to a temporary folder, and always take the likeliest token. Tokens/s are those after the prompt. The
floor is what one token must read, the bytes of the weights, over the read bandwidth measured here on all threads.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel


def read_bandwidth(threads):
    """Bytes a second of a sum over 512 MiB: the best of a few."""
    torch.set_num_threads(threads)
    x = torch.ones(128 << 20)
    best = 0.0
    for _ in range(5):
        begin = time.perf_counter()
        x.sum()
        best = max(best, x.numel() * 4 / (time.perf_counter() - begin))
    return best


def hugging_face(model, prompt, tokens):
    ids = torch.tensor([prompt])
    begin = time.perf_counter()
    model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=1, do_sample=False, pad_token_id=0)
    first = time.perf_counter()
    model.generate(ids, attention_mask=torch.ones_like(ids), min_new_tokens=tokens, max_new_tokens=tokens,
                   do_sample=False, pad_token_id=0)
    return (tokens - 1) / (time.perf_counter() - first - (first - begin))


def normlab(options, folder, precision):
    words = [options.normlab, "generate", "--model", folder, "--prompt", "It is a"]
    words += ["--tokens", str(options.tokens), "--temperature", "0", "--precision", precision, "--json"]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)["tokens_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--normlab", default="build/normlab")
    parser.add_argument("--tokenizer", required=True, help="a folder with GPT-2's vocab.json and merges.txt")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.manual_seed(1)
    model = GPT2LMHeadModel(GPT2Config()).eval()
    weights = sum(p.numel() for p in model.parameters())
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        model.save_pretrained(folder)
        for name, stored in (("vocab.json", "encoder.json"), ("merges.txt", "vocab.bpe")):
            found = [n for n in (name, stored) if os.path.exists(os.path.join(options.tokenizer, n))]
            shutil.copy(os.path.join(options.tokenizer, found[0]), os.path.join(folder, name))
        for precision, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
            model = model.to(dtype)
            size = weights * (4 if precision == "f32" else 2)
            ratios, floors = [], []
            for pair in range(options.pairs):
                floor = read_bandwidth(options.threads) / size
                theirs = hugging_face(model, [1026, 318, 257], options.tokens)
                ours = normlab(options, folder, precision)
                ratios.append(ours / theirs)
                floors.append(ours / floor)
                print(f"  {precision} pair {pair + 1}: Hugging Face {theirs:.1f} tok/s, normlab {ours:.1f}, floor {floor:.1f}",
                      flush=True)
            print(f"{precision}: ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
                  f"of the floor {100 * statistics.median(floors):.0f} %", flush=True)


if __name__ == "__main__":
    main()
