"""Figures of what the program measures: each runs normlab and plots its JSON."""
import collections
import functools
import json
import math
import os
import shutil
import subprocess

from chart import bars, intervals, lines

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NORMLAB = os.environ.get("NORMLAB", os.path.join(ROOT, "build", "normlab"))
WORK = os.path.join(ROOT, "build", "figures")  # corpora, tokenizers and runs that figures train


def normlab(*arguments):
    """Runs the program in the root of the tree and returns the object that it prints."""
    run = subprocess.run([NORMLAB, *arguments], capture_output=True, text=True, cwd=ROOT)
    if run.returncode != 0:
        raise SystemExit("%s\n%s" % (" ".join([NORMLAB, *arguments]), run.stderr.strip()))
    return json.loads(run.stdout) if "--json" in arguments else run.stdout


def step_size():
    points = []
    for tenths in range(-150, 0, 2):
        h = 10 ** (tenths / 10)
        points.append((h, abs((math.exp(1 + h) - math.exp(1 - h)) / (2 * h) - math.exp(1))))
    bound = [(h, math.exp(1) * h * h / 6) for h, _ in points if h > 1e-7]
    rounding = [(h, math.exp(1) * 2.0 ** -53 / h) for h, _ in points if h < 1e-3]
    return lines("The difference quotient of exp at 1, in double precision",
                 [("measured", [p for p in points if p[1] > 0]), ("h²f‴/6", bound), ("2⁻⁵³f/h", rounding)],
                 "step h", "error", x_log=True, y_log=True)


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


def run(name, *settings):
    """The lines of metrics.jsonl of a run with the figures' config; trained again each time."""
    folder = os.path.join(WORK, name)
    shutil.rmtree(folder, ignore_errors=True)
    sets = [part for s in settings for part in ("--set", s)]
    normlab("train", "--config", prepared(), *sets, "--out", folder)
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def smoothed(points, width):
    """Means of `width` neighbours."""
    return [(points[i + width // 2][0], sum(y for _, y in points[i:i + width]) / width)
            for i in range(0, len(points) - width + 1, width)]


def bigram():
    metrics = run("bigram", "model.layers=4", "budget.steps=1500", "optim.lr=2e-3")
    with open(os.path.join(WORK, "corpus", "train.txt"), "rb") as file:
        text = file.read()
    singles, pairs = collections.Counter(text), collections.Counter(zip(text, text[1:]))
    unigram = -sum(n * math.log(n / len(text)) for n in singles.values()) / len(text)
    bigram_loss = -sum(n * math.log(n / singles[a]) for (a, _), n in pairs.items()) / (len(text) - 1)
    curve = smoothed([(m["step"], m["loss"]) for m in metrics if "loss" in m], 20)
    return lines("Next byte of Jane Austen", [("4 layers", curve)], "update", "loss, nats",
                 marks=[(unigram, "unigram %.2f" % unigram), (bigram_loss, "bigram %.2f" % bigram_loss)], y_low=1.4)


def ladder():
    rows = normlab("bench", "ladder", "--repeats", "5", "--json")["results"]
    names = [r["name"].split(":")[0] for r in rows]
    return bars("One product, [1008, 3072] x [3072, 768] in f32: share of the multiply-add peak",
                [(n, r["fraction"], "%.1f %%, %.3g GFLOP/s" % (100 * r["fraction"], r["value"]))
                 for n, r in zip(names, rows)], high=1)


def loss_scale():
    metrics = run("scaling", "model.layers=4", "precision=f16", "loss_scale.init=16", "loss_scale.window=20",
                  "budget.steps=400", "optim.lr=2e-3")
    scale = [(m["step"], m["loss_scale"]) for m in metrics if "loss_scale" in m]
    return lines("The loss scale of a run in f16", [("scale", scale)], "update", "loss scale", y_log=True)


def schedules():
    small = ("model.layers=1", "model.width=16", "model.heads=1", "model.ffn_width=16", "data.batch=1")
    kinds = {"constant": (), "linear": (), "cosine": (), "cosine, period 60": ("schedule.period=60",), "inverse_sqrt": (),
             "wsd": ("schedule.decay_fraction=0.3",)}
    series = []
    for kind, more in kinds.items():
        metrics = run("schedules", *small, "schedule.name=" + kind.split(",")[0], *more)
        series.append((kind, [(m["step"], m["lr"] * 1000) for m in metrics if "lr" in m][::2]))
    return lines("Schedules: warm-up of 20 updates, then", series, "update", "learning rate, thousandths")


def comparison():
    out = os.path.join(WORK, "study")
    shutil.rmtree(out, ignore_errors=True)
    result = normlab("compare", "pre_ln", "post_ln", "normformer", "hybridnorm*", "--config", prepared(), "--set", "model.layers=6",
                     "--set", "budget.steps=300", "--set", "eval.every=300", "--set", "eval.batches=20",
                     "--same-init", "megatron", "--seeds", "5", "--out", out, "--json")
    rows = []
    for placement in result["placements"]:
        difference = placement.get("difference")
        if difference:
            rows.append((placement["placement"], difference["mean"], *difference["ci95"]))
    return intervals("Validation loss less that of pre_ln, nats, 5 seeds", rows)


def vocabulary():
    corpus = os.path.join(WORK, "corpus")
    prepared()
    test = os.path.join(corpus, "test.txt")
    points = []
    for size in (256, 512, 1024, 2048, 4096, 8192, 16384):
        folder = os.path.join(WORK, "vocabulary")
        shutil.rmtree(folder, ignore_errors=True)
        normlab("tokenizer", "train", "--input", corpus, "--vocab-size", str(size), "--out", folder)
        with open(test, "rb") as text:
            ids = subprocess.run([NORMLAB, "tokenizer", "encode", "--tokenizer", folder], stdin=text, capture_output=True, check=True)
        points.append((size, os.path.getsize(test) / len(json.loads(ids.stdout))))
    return lines("Byte-pair encoding of Jane Austen's novels", [("test part", points)], "tokens in the vocabulary",
                 "bytes a token", x_log=True, x_ticks=[p[0] for p in points], points=True)


def placement(norms):
    return normlab("inspect", "tiny-clm", "--norms", norms, "--diagram", "svg")


FIGURES = {"post_ln": lambda: placement("post_ln"), "pre_ln": lambda: placement("pre_ln"),
           "step_size": step_size, "gradcheck_ratios": gradcheck_ratios,
           "gradients_1": lambda: gradients_at(1), "gradients_20": lambda: gradients_at(20),
           "gradients_200": lambda: gradients_at(200),
           "bigram": bigram, "ladder": ladder, "loss_scale": loss_scale,
           "schedules": schedules, "comparison": comparison, "vocabulary": vocabulary}
