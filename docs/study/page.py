#!/usr/bin/env python3
"""The results' part of docs/12-what-small-scale-shows.md, from the JSON that `make study` keeps.

   page.py RESULTS PAGE     rewrites what stands between the page's two marks
   page.py --thin FILE      a probe's JSON without most of its updates, for keeping
   page.py --join FILE...   the gains of several models, one a seed, that the page shows

   Beside PAGE, in its folder figures/, an SVG of each part.

A claim of a paper "holds" or "does not hold" where `normlab compare` says better or worse (a Holm-corrected p below 0.05 of at
least three seeds), or, of a probe, where the 95 % interval over its seeds lies wholly on one side; else it is "not resolved".
Nothing here chooses among results."""
import json, math, os, re, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "figures"))
import chart  # noqa: E402

BEGIN, END = "<!-- results: written by docs/study/page.py -->", "<!-- end of results -->"
TABLE5 = "NormFormer, Table 5"
TITLES = {
    "table4-char": "Table 4's ablation, 4 layers, characters",
    "table5-low-rate": "Table 5, rate 1e-3", "table5-high-rate": "Table 5, rate 3e-3", "table5-warmup": "Table 5, twelve times the warm-up",
    "table5-clip": "Table 5, gradients clipped at 0.1", "table5-gpt3": "Table 5, longer rows and dropout (GPT-3's setting)",
    "table5-low-rate-small": "Table 5's rate 1e-3, GPT-3's initial values", "table5-high-rate-small": "Table 5's rate 3e-3, GPT-3's initial values",
    "table4-bpe": "Pre-LN and NormFormer, 6 layers, byte pairs",
    "figure3": "Figure 3: gradients of W2 by layer, 12 layers", "figure4": "Figures 4 and 6: gains by layer, 12 layers",
    "figure7": "Figure 7: gradients relative to Pre-LN's",
    "figure5": "Figure 5: the rate at which training breaks, f16",
    "hybrid-6-own": "HybridNorm and others, 6 layers, each with its own initial values",
    "hybrid-6-same": "HybridNorm and others, 6 layers, one initialisation",
    "hybrid-16-own": "HybridNorm and others, 16 layers, each with its own initial values",
    "hybrid-16-same": "HybridNorm and others, 16 layers, one initialisation",
    "mlm": "A masked LM, 4 layers",
    "mlm-scaled": "A masked LM, embeddings multiplied by the root of the width",
}
WORSE, BETTER = "worse", "better"
HYBRID = [("hybridnorm", BETTER, "HybridNorm is better than Pre-Norm", "HybridNorm, Table 6"),
          ("hybridnorm*", BETTER, "HybridNorm* is better than Pre-Norm", "HybridNorm, Table 6"),
          ("post_rms", WORSE, "Post-Norm is worse than Pre-Norm", "HybridNorm, Table 6"),
          ("mix_ln", WORSE, "Mix-LN is worse than Pre-Norm", "HybridNorm, Table 6")]
# part: (placement, what it should be against the part's baseline, claim, where the paper says so)
CLAIMS = {
    "table4-char": [
        ("pre_ln", WORSE, "all of NormFormer is better than Pre-LN", "NormFormer, Table 4"),
        ("normformer_no_postattn", WORSE, "the norm behind attention helps", "NormFormer, Table 4"),
        ("normformer_no_ffnln", WORSE, "the norm inside the feed-forward layer helps", "NormFormer, Table 4"),
        ("normformer_no_headscale", WORSE, "head scales help", "NormFormer, Table 4"),
        ("normformer", WORSE, "residual scales help", "NormFormer, Table 4")],
    **{"table5-" + s: [("normformer+r", BETTER, "NormFormer is better than Pre-LN in this setting", TABLE5)]
       for s in ("low-rate", "high-rate", "warmup", "clip", "gpt3", "low-rate-small", "high-rate-small")},
    "table4-bpe": [("normformer", BETTER, "NormFormer is better than Pre-LN", "NormFormer, Table 2"),
                   ("normformer+r", BETTER, "with residual scales it is better than Pre-LN", "NormFormer, Table 2")],
    **{f"hybrid-{l}-{i}": HYBRID for l in (6, 16) for i in ("own", "same")},
    **{part: [("normformer", BETTER, "NormFormer is better than Pre-LN", "NormFormer, Table 3"),
              ("normformer+r", BETTER, "with residual scales it is better than Pre-LN", "NormFormer, Table 3")]
       for part in ("mlm", "mlm-scaled")},
}


def number(x, pattern="%.4f"):
    return pattern % x if isinstance(x, (int, float)) and math.isfinite(x) else "–"


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(r) + " |" for r in rows])


def difference(d):
    if not d: return "–"
    ci = d.get("ci95")
    return number(d["mean"], "%+.4f") + (f" [{ci[0]:+.4f}, {ci[1]:+.4f}]" if ci else "")


def compare(result):
    rows = [[f"`{p['placement']}`", p["init"], number(p["lr"], "%.4g"), f"{number(p['mean'])} ± {number(p['se'])}", difference(p["difference"]),
             number((p["difference"] or {}).get("p_holm"), "%.3g"), p["verdict"] or "baseline", str(p["failed"])] for p in result["placements"]]
    seconds = sum(r["seconds"] or 0 for p in result["placements"] for r in p["runs"])
    env = result["environment"]
    edges = [p for p, edge in result.get("edge", {}).items() if edge]
    said = [f"{len(result['seeds'])} seeds, paired; {result['budget']} updates; rates {'tuned for each placement' if result['tuned'] else 'not tuned'}.",
            f"The runs of the table took {seconds / 3600:.2f} hours of training together (commit {env['commit']}, {env['threads']} thread{'' if env['threads'] == 1 else 's'})."]
    if edges: said.append("The best rate lies at the edge of those tried: " + ", ".join(f"`{p}`" for p in edges) + ".")
    return " ".join(said) + "\n\n" + table(["placement", "initial values", "rate", "loss", "difference [95 %]", "p (Holm)", "verdict", "failed"], rows)


def claims(result, wanted):
    rows = []
    for placement, expected, text, source in wanted:
        p = next((q for q in result["placements"] if q["placement"] == placement), None)
        if p is None: continue
        found = p["verdict"]
        word = "holds" if found == expected else "does not hold" if found in (BETTER, WORSE) else "not resolved"
        rows.append([text, source, f"**{word}**", difference(p["difference"]), str(len(result["seeds"]))])
    return table(["claim", "where", "here", "difference [95 %]", "seeds"], rows)


def by_placement(result, value):
    """{placement: [value(run) of each seed]}, runs without one left out."""
    out = {}
    for r in result["results"]:
        if (v := value(r)) is not None: out.setdefault(r["placement"], []).append(v)
    return out


def mean(values):
    values = [v for v in values if isinstance(v, (int, float))]
    return sum(values) / len(values) if values else None


STUDENT = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]  # 97.5 % of Student's t, 1 to 10 degrees of freedom


def interval(values):
    """(mean, low, high): 95 % of Student's t; nothing of fewer than three values, or where one is missing."""
    if len(values) < 3 or any(v is None or not math.isfinite(v) for v in values): return None
    n, m = len(values), sum(values) / len(values)
    half = STUDENT[min(n - 2, 9)] * math.sqrt(sum((v - m) ** 2 for v in values) / (n - 1) / n)
    return m, m - half, m + half


def judged(intervals, above):
    """Do all of these intervals of logarithms lie above (below) zero?"""
    right, wrong = [], []
    for i in intervals:
        if i is None: return "not resolved"
        (_, low, high) = i if above else (i[0], -i[2], -i[1])
        right.append(low > 0), wrong.append(high < 0)
    return "holds" if all(right) else "does not hold" if any(wrong) else "not resolved"


def times(i):
    """An interval of logarithms as factors."""
    return "–" if i is None else ("%.4f [%.4f, %.4f]" if abs(i[0]) < 0.1 else "%.3g [%.3g, %.3g]") % tuple(math.exp(v) for v in i)


def claim_table(rows):
    return table(["claim", "where", "here", "factor [95 %]", "seeds"], rows)


def gradients(result):
    """Means over seeds of the window's mean |gradient| of W2, in the layers that the paper's figure shows."""
    shown, rows = (0, 1, 6, 10, 11), []
    windows = by_placement(result, lambda r: r["window"])
    logs = {p: [math.log(w["ratio_first_last"]) for w in of] for p, of in windows.items()}
    for placement, of in windows.items():
        rows.append([f"`{placement}`"] + [number(mean([w["w2_grad"][l] for w in of]), "%.3g") for l in shown if l < len(of[0]["w2_grad"])] +
                    [", ".join(number(math.exp(r), "%.3g") for r in logs[placement])])
    window = result["results"][0]["window"]
    said = f"Mean absolute gradient of W2 over updates {window['first']} to {window['last']}, mean of the seeds; first layer over last, by seed.\n\n"
    head = ["placement"] + [f"layer {l}" for l in shown if l < result["results"][0]["layers"]] + ["first / last"]
    found = []
    for placement, above, text in (("post_ln", False, "Post-LN's gradients grow with depth (first / last below 1)"),
                                   ("pre_ln", True, "Pre-LN's shrink with depth (first / last above 1)")):
        if placement in logs:
            i = interval(logs[placement])
            found.append([text, "NormFormer, Figure 3", f"**{judged([i], above)}**", times(i), str(len(logs[placement]))])
    if "pre_ln" in logs and "normformer" in logs:
        i = interval([n - p for n, p in zip(logs["normformer"], logs["pre_ln"])])
        found.append(["NormFormer's shrink less than Pre-LN's", "NormFormer, Figure 3", f"**{judged([i], False)}**", times(i), str(len(logs["pre_ln"]))])
    return said + table(head, rows) + "\n\n" + claim_table(found)


PARAMETERS = {"attn.qkv.weight": "q, k, v", "attn.out.weight": "attention's output", "ffn.up.weight": "W1", "ffn.down.weight": "W2"}


def relative_ratios(result):
    """{placement: [[{parameter: ratio} of each layer] of each seed]}"""
    return by_placement(result, lambda r: (r.get("relative") or {}).get("ratios"))


def relative(result):
    """Gradient norms over loss, as a share of the baseline's, mean of the seeds."""
    rows, found = [], []
    for placement, seeds in relative_ratios(result).items():
        layers = range(len(seeds[0]))
        for layer in layers:
            rows.append([f"`{placement}`", str(layer)] + [number(mean([s[layer].get(k) for s in seeds]), "%.2f") for k in PARAMETERS])
        for text, parameters, chosen, above in (
                ("the gradients of attention's matrices are smaller than Pre-LN's in every layer", list(PARAMETERS)[:2], layers, False),
                ("those of the feed-forward matrices are larger in the later half of the layers", list(PARAMETERS)[2:], layers[len(layers) // 2:], True)):
            logs = [interval([math.log(s[l][k]) for s in seeds]) for k in parameters for l in chosen]
            means = [math.exp(i[0]) for i in logs if i]
            span = "%.2f to %.2f by layer" % (min(means), max(means)) if means else "–"
            found.append([text, "NormFormer, Figure 7", f"**{judged(logs, above)}**", span, str(len(seeds))])
    return claim_table(found) + "\n\n<details markdown=\"1\"><summary>By layer</summary>\n\n" + \
        table(["placement", "layer"] + list(PARAMETERS.values()), rows) + "\n\n</details>"


GAINS = {"attn.out_norm.weight": "attention's output", "attn.head_gain": "head gains", "ffn.mid_norm.weight": "inside feed-forward",
         "ffn.res_scale": "residual scale"}


def gain_means(result):
    """{gain: [[mean in each layer] of each seed]}"""
    return {name: [[g["mean"] for g in r["gains"] if g["name"] == name] for r in result["results"]] for name in GAINS}


def gains(result):
    means = gain_means(result)
    rows = [[label] + [number(mean([s[l] for s in means[name]]), "%.3f") for l in range(result["results"][0]["layers"])] for name, label in GAINS.items()]
    seeds, half = str(len(result["results"])), result["results"][0]["layers"] // 2
    below = [interval([math.log(s[l]) for s in means["attn.out_norm.weight"]]) for l in range(2 * half)]
    found = [["the norm on attention's output ends with gains below 1 in every layer", "NormFormer, Figure 4", f"**{judged(below, False)}**",
              "%.3f to %.3f by layer" % (min(math.exp(i[0]) for i in below), max(math.exp(i[0]) for i in below)), seeds]]
    for name, early, text, source in (("ffn.mid_norm.weight", True, "the gains inside the feed-forward are smaller in the earlier half of the layers", "NormFormer, Figure 4"),
                                      ("ffn.res_scale", False, "residual scales are smaller in the later half", "NormFormer, Figure 6")):
        i = interval([math.log(mean(s[:half]) / mean(s[half:])) for s in means[name]])
        found.append([text, source, f"**{judged([i], not early)}**", times(i) + ", earlier over later", seeds])
    return claim_table(found) + "\n\n" + table(["mean gain in layer"] + [str(l) for l in range(2 * half)], rows)


def stability(result):
    rows = [[f"`{r['placement']}`", number(r["median_lr"], "%.3g"), ", ".join(number(s["lr"], "%.3g") for s in r["runs"]), str(r["censored"])]
            for r in result["results"]]
    rates = {r["placement"]: [math.log(s["lr"]) if s["lr"] else None for s in r["runs"]] for r in result["results"]}
    found = []
    for placement, base, above, text in (("normformer", "pre_ln", True, "NormFormer's training breaks at a higher rate than Pre-LN's"),
                                         ("normformer+r", "normformer", False, "residual scales take some of that away")):
        if placement in rates and base in rates:
            i = interval([None if None in pair else pair[0] - pair[1] for pair in zip(rates[placement], rates[base])])
            found.append([text, "NormFormer, Figure 5", f"**{judged([i], above)}**", times(i), str(len(rates[placement]))])
    return table(["placement", "median rate", "by seed", "never broke"], rows) + "\n\n" + claim_table(found)


def picture(part, result):
    """The part's figure, or None: what its tables say, drawn."""
    title = TITLES[part]
    if result["command"] == "compare":
        found = [(p["placement"], p["difference"]["mean"], *p["difference"]["ci95"]) for p in result["placements"]
                 if (p["difference"] or {}).get("ci95")]
        base = next(p["placement"] for p in result["placements"] if not p["difference"])
        return chart.intervals(f"Loss less that of {base}: {title}", found, name_width=190) if found else None
    if part == "figure5":
        rows = [(r["placement"], [s["lr"] for s in r["runs"] if s["lr"]]) for r in result["results"]]
        return chart.bars(title, [(p, sorted(of)[len(of) // 2], ", ".join("%.3g" % v for v in of)) for p, of in rows if of], "median, and each seed")
    if part == "figure4":
        series = [(label, [(l, mean([s[l] for s in gain_means(result)[name]])) for l in range(result["results"][0]["layers"])]) for name, label in GAINS.items()]
        return chart.lines(title, series, "layer", "mean of the layer's gains", x_ticks=range(result["results"][0]["layers"]), marks=[(1, "at the start")],
                           points=True, width=740)
    if part == "figure7":
        series = [(f"{name}" if len(relative_ratios(result)) == 1 else f"{placement} {name}",
                   [(l, mean([s[l][k] for s in seeds])) for l in range(len(seeds[0]))])
                  for placement, seeds in relative_ratios(result).items() for k, name in PARAMETERS.items()]
        return chart.lines(title, series, "layer", "gradient norm over loss, share of Pre-LN's", x_ticks=range(result["results"][0]["layers"]),
                           marks=[(1, "Pre-LN")], points=True)
    series = [(placement, [(l, mean([w["w2_grad"][l] for w in of])) for l in range(len(of[0]["w2_grad"]))])
              for placement, of in by_placement(result, lambda r: r["window"]).items()]
    return chart.lines(title, series, "layer", "mean |gradient| of the second feed-forward matrix", y_low=0,
                       x_ticks=range(result["results"][0]["layers"]), points=True)


def section(part, result, drawn):
    head = f"### {TITLES[part]}\n\n" + (f"![{TITLES[part]}](figures/study-{part}.svg)\n\n" if drawn else "")
    if result["command"] == "compare":
        return head + compare(result) + ("\n\n" + claims(result, CLAIMS[part]) if part in CLAIMS else "")
    if part in ("figure4", "figure5"): return head + (gains if part == "figure4" else stability)(result)
    return head + (relative(result) if part == "figure7" else gradients(result))


def all_claims(parts, texts):
    """The claims of all sections in one table, in their order."""
    rows = []
    for part, text in zip(parts, texts):
        for claims_of in re.findall(r"^\| claim \|.*\n\|[-|]+\n((?:\|.*\n?)+)", text, flags=re.M):
            rows += [line.strip("| ").split(" | ") + [f"`{part}`"] for line in claims_of.strip().split("\n")]
    words = [row[2].strip("*") for row in rows]
    count = ", ".join(f"{words.count(w)} {w}" for w in ("holds", "does not hold", "not resolved")).replace("holds,", "hold,").replace("does not hold", "do not hold")
    return f"### All claims\n\n{len(rows)} claims: {count}. A difference is that of the placement whose table names the claim, less its baseline: of `table4-char` what it costs to take a thing away.\n\n" + table(["claim", "where", "here", "difference or factor [95 %]", "seeds", "part"], rows)


def thin(value, keep=50):
    """Lists over updates become every 50th entry and the last."""
    if isinstance(value, list):
        if len(value) > 4 * keep: value = value[::keep] + ([value[-1]] if (len(value) - 1) % keep else [])
        return [thin(v, keep) for v in value]
    return {k: thin(v, keep) for k, v in value.items()} if isinstance(value, dict) else value


def replace(path, text):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path + ".part", "w", encoding="utf8") as f: f.write(text)
    os.replace(path + ".part", path)


def main(argv):
    if argv[0] == "--thin":
        json.dump(thin(json.load(open(argv[1], encoding="utf8"))), sys.stdout, separators=(",", ":"))
        return
    if argv[0] == "--join":
        results = []
        for path in argv[1:]:
            with open(path, encoding="utf8") as f: results += json.load(f)["results"]
        for r in results: r["gains"] = [g for g in r["gains"] if g["name"] in GAINS]
        json.dump({"command": "probe gains", "results": results}, sys.stdout, separators=(",", ":"))
        return
    folder, page = argv
    parts = [p for p in TITLES if os.path.exists(f"{folder}/{p}.json")]
    texts = []
    for p in parts:
        with open(f"{folder}/{p}.json", encoding="utf8") as f: result = json.load(f)
        svg = picture(p, result)
        if svg: replace(os.path.join(os.path.dirname(page), "figures", f"study-{p}.svg"), svg)
        texts.append(section(p, result, svg is not None))
    if any("| claim |" in t for t in texts): texts.insert(0, all_claims(parts, texts))
    missing = [f"`{p}`" for p in TITLES if p not in parts]
    if missing: texts.append(f"Not run yet: {', '.join(missing)}.")
    text = "\n\n".join(texts)
    with open(page, encoding="utf8") as f: before = f.read()
    if BEGIN not in before or END not in before: sys.exit(f"{page}: its marks are missing")
    if not parts: text = "No part has been run to its end on a machine of its own yet, so there are no numbers."
    after = re.sub(re.escape(BEGIN) + ".*" + re.escape(END), lambda _: f"{BEGIN}\n\n{text}\n\n{END}", before, flags=re.S)
    replace(page, after)


if __name__ == "__main__":
    if len(sys.argv) < 3 or (len(sys.argv) > 3 and sys.argv[1] != "--join"): sys.exit(__doc__)
    main(sys.argv[1:])
