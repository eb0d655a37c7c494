"""Byte-pair tokenizers: `normlab bench tokenizer`, tiktoken and Hugging Face tokenizers on one text, interleaved.

    python3 tests/bench/compare_tokenizers.py --python VENV/bin/python --normlab build/normlab \\
        --text corpus.txt --bpe ../shared/data/gpt2-bpe --rounds 5

Every figure of a round comes from a fresh process, so that no cache is warm, and is the text's million bytes over
seconds of the call alone: GPT-2's encoding on one thread and on two (tiktoken and tokenizers are given the text cut
into documents for that, as their batch calls want), and learning a vocabulary from the whole text. Prints each
round, then medians and ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def seconds_of(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def documents(text, count=512):
    """About `count` parts that end behind line ends."""
    lines, out, size = text.splitlines(keepends=True), [], 0
    for line in lines:
        if size == 0:
            out.append([])
        out[-1].append(line)
        size = 0 if size + len(line) > len(text) / count else size + len(line)
    return ["".join(part) for part in out]


def tiktoken_worker(options, text):
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    ranks = data_gym_to_mergeable_bpe_ranks(f"{options.bpe}/vocab.bpe", f"{options.bpe}/encoder.json")
    encoding = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    if options.threads == 1:
        return seconds_of(lambda: encoding.encode_ordinary(text))
    parts = documents(text)
    return seconds_of(lambda: encoding.encode_ordinary_batch(parts, num_threads=options.threads))


def tokenizers_worker(options, text):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE.from_file(f"{options.bpe}/encoder.json", f"{options.bpe}/vocab.bpe"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if options.threads == 1:
        return seconds_of(lambda: tokenizer.encode(text))
    parts = documents(text)
    return seconds_of(lambda: tokenizer.encode_batch(parts))


def trainer_worker(options, text):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=options.vocab_size, min_frequency=2, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    parts = documents(text)
    return seconds_of(lambda: tokenizer.train_from_iterator(parts, trainer))


WORKERS = {"tiktoken": tiktoken_worker, "tokenizers": tokenizers_worker, "tokenizers trainer": trainer_worker}


def run_worker(options, name, threads, megabytes):
    words = [options.python, __file__, "--worker", name, "--text", options.text, "--bpe", options.bpe]
    words += ["--threads", str(threads), "--vocab-size", str(options.vocab_size)]
    environment = dict(os.environ, TOKENIZERS_PARALLELISM=str(threads > 1).lower(), RAYON_NUM_THREADS=str(threads))
    result = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    return megabytes / float(result.stdout)


def run_normlab(options, arguments):
    words = [options.normlab, "bench", "tokenizer", options.text, "--repeats", "1", "--json", *arguments]
    output = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return output["results"][0]["value"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has tiktoken and tokenizers")
    parser.add_argument("--normlab", default="build/normlab")
    parser.add_argument("--text", required=True, help="UTF-8; some 20 MB")
    parser.add_argument("--bpe", required=True, help="folder with GPT-2's encoder.json and vocab.bpe")
    parser.add_argument("--vocab-size", type=int, default=32768)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help=argparse.SUPPRESS)
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        with open(options.text, encoding="utf-8", newline="") as file:
            print(WORKERS[options.worker](options, file.read()))
        return

    megabytes = os.path.getsize(options.text) / 1e6
    print(f"{options.text}: {megabytes:.1f} MB, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([options.normlab, "tokenizer", "import", "--vocab", f"{options.bpe}/encoder.json", "--merges",
                        f"{options.bpe}/vocab.bpe", "--out", folder], check=True, capture_output=True)
        encode = ["--tokenizer", folder, "--threads"]
        learn = ["--vocab-size", str(options.vocab_size), "--threads"]
        rows = {  # what: ours, and the others by name
            "encode, 1 thread": (lambda: run_normlab(options, [*encode, "1"]),
                                 {name: lambda name=name: run_worker(options, name, 1, megabytes)
                                  for name in ("tiktoken", "tokenizers")}),
            "encode, 2 threads": (lambda: run_normlab(options, [*encode, "2"]),
                                  {name: lambda name=name: run_worker(options, name, 2, megabytes)
                                   for name in ("tiktoken", "tokenizers")}),
            f"train {options.vocab_size}, 2 threads": (
                lambda: run_normlab(options, [*learn, "2"]),
                {"tokenizers": lambda: run_worker(options, "tokenizers trainer", 2, megabytes)}),
        }
        speeds = {}
        for number in range(1, options.rounds + 1):
            for what, (ours, others) in rows.items():
                for name, call in {"normlab": ours, **others}.items():
                    speeds.setdefault((what, name), []).append(call())
                line = "   ".join(f"{name} {speeds[what, name][-1]:.1f}" for name in ("normlab", *others))
                print(f"  round {number}  {what}: {line}", flush=True)
    print(f"medians of {options.rounds}, MB/s, load {os.getloadavg()[0]:.1f}")
    for what, (_, others) in rows.items():
        ours = speeds[what, "normlab"]
        print(f"{what:24} normlab {statistics.median(ours):6.1f}")
        for name in others:
            theirs = speeds[what, name]
            ratios = [a / b for a, b in zip(ours, theirs)]
            print(f"{'':24} {name:10} {statistics.median(theirs):6.1f}   ratio {statistics.median(ratios):5.2f}, "
                  f"{min(ratios):.2f} to {max(ratios):.2f}", flush=True)


if __name__ == "__main__":
    main()
