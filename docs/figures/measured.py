"""Figures of what the program measures: each runs normlab and plots its JSON."""
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


FIGURES = {"gradcheck_ratios": gradcheck_ratios}
