"""Figures of what the program measures: each runs normlab and plots its JSON."""
import functools
import json
import os
import subprocess

from chart import bars, lines

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NORMLAB = os.environ.get("NORMLAB", os.path.join(ROOT, "build", "normlab"))
WORK = os.path.join(ROOT, "build", "figures")  # corpora, tokenizers and runs that figures train


def normlab(*arguments):
    """Runs the program in the root of the tree and returns the object that it prints."""
    run = subprocess.run([NORMLAB, *arguments], capture_output=True, text=True, cwd=ROOT)
    if run.returncode != 0:
        raise SystemExit("%s\n%s" % (" ".join([NORMLAB, *arguments]), run.stderr.strip()))
    return json.loads(run.stdout) if "--json" in arguments else run.stdout


def gradcheck_ratios():
    """The largest ratio of every op of the table."""
    worst = {}
    for row in normlab("gradcheck", "--json")["results"]:
        worst[row["op"]] = max(worst.get(row["op"], 0), row["worst"])
    rows = sorted(worst.items(), key=lambda item: item[1])
    return bars("Gradient checks: largest error of each op, 1 is the limit",
                [(op, max(value, 1e-8), "%.0e" % value) for op, value in rows], log=True, low=1e-8, high=1)


def prepared():
    """The config of figures that train, after its text has been made into tokens."""
    if not os.path.exists(os.path.join(WORK, "tokens", "valid.json")):
        os.makedirs(WORK, exist_ok=True)
        corpus, tokenizer = os.path.join(WORK, "corpus"), os.path.join(WORK, "tokenizer")
        normlab("corpus", "janeausten", "--out", corpus)
        normlab("tokenizer", "train", "--kind", "byte", "--special", "<|endoftext|>", "--input", corpus, "--out", tokenizer)
        normlab("prepare", "--tokenizer", tokenizer, "--input", corpus, "--out", os.path.join(WORK, "tokens"))
    return "docs/figures/small.json"


@functools.lru_cache(maxsize=None)
def gradient_probe():
    return normlab("probe", "gradients", "--config", prepared(), "--steps", "200", "--at", "1,20,200",
                   "post_ln", "pre_ln", "normformer", "hybridnorm*", "--json")["results"]


def gradients_at(update):
    series = []
    for run in gradient_probe():
        values = next(a["w2_grad"] for a in run["at"] if a["update"] == update)
        series.append((run["placement"], list(enumerate(values))))
    return lines("Update %d" % update, series, "layer", "mean |gradient| of the second feed-forward matrix", y_log=True,
                 x_ticks=range(0, len(series[0][1])), points=True, height=280)


FIGURES = {"gradcheck_ratios": gradcheck_ratios,
           "gradients_1": lambda: gradients_at(1), "gradients_20": lambda: gradients_at(20),
           "gradients_200": lambda: gradients_at(200)}
