#!/usr/bin/env python3
"""The results' part of docs/12-what-small-scale-shows.md, from the JSON that `make study` keeps.

   page.py RESULTS PAGE     rewrites what stands between the page's two marks
   page.py --thin FILE      a probe's JSON without most of its updates, for keeping

A claim of a paper "holds" or "does not hold" where `normlab compare` says better or worse (a Holm-corrected p below 0.05 of at
least three seeds), else it is "not resolved". Nothing here chooses among results."""
import json, math, os, re, sys

BEGIN, END = "<!-- results: written by docs/study/page.py -->", "<!-- end of results -->"
TABLE5 = "NormFormer, Table 5"
TITLES = {
    "table4-char": "Table 4's ablation, 4 layers, characters",
    "table5-low-rate": "Table 5, rate 1e-3", "table5-high-rate": "Table 5, rate 3e-3", "table5-warmup": "Table 5, twelve times the warm-up",
    "table5-clip": "Table 5, gradients clipped at 0.1", "table5-gpt3": "Table 5, longer rows and dropout (GPT-3's setting)",
    "table4-bpe": "Pre-LN and NormFormer, 6 layers, byte pairs",
    "figure3": "Figure 3: gradients of W2 by layer, 12 layers", "figure7": "Figure 7: gradients relative to Pre-LN's",
    "figure5": "Figure 5: the rate at which training breaks, f16",
    "hybrid-6-own": "HybridNorm and others, 6 layers, each with its own initial values",
    "hybrid-6-same": "HybridNorm and others, 6 layers, one initialisation",
    "hybrid-16-own": "HybridNorm and others, 16 layers, each with its own initial values",
    "hybrid-16-same": "HybridNorm and others, 16 layers, one initialisation",
    "mlm": "A masked LM, 4 layers",
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
       for s in ("low-rate", "high-rate", "warmup", "clip", "gpt3")},
    "table4-bpe": [("normformer", BETTER, "NormFormer is better than Pre-LN", "NormFormer, Table 2"),
                   ("normformer+r", BETTER, "with residual scales it is better than Pre-LN", "NormFormer, Table 2")],
    **{f"hybrid-{l}-{i}": HYBRID for l in (6, 16) for i in ("own", "same")},
    "mlm": [("normformer", BETTER, "NormFormer is better than Pre-LN", "NormFormer, Table 3"),
            ("normformer+r", BETTER, "with residual scales it is better than Pre-LN", "NormFormer, Table 3")],
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
            f"The runs of the table took {seconds / 3600:.2f} hours of training together (commit {env['commit']}, {env['threads']} threads)."]
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


def gradients(result):
    """Means over seeds of the window's mean |gradient| of W2, in the layers that the figure shows."""
    shown, rows = (0, 1, 6, 10, 11), []
    for placement, windows in by_placement(result, lambda r: r["window"]).items():
        ratios = [w["ratio_first_last"] for w in windows]
        rows.append([f"`{placement}`"] + [number(mean([w["w2_grad"][l] for w in windows]), "%.3g") for l in shown if l < len(windows[0]["w2_grad"])] +
                    [", ".join(number(r, "%.3g") for r in ratios)])
    window = result["results"][0]["window"]
    return f"Mean absolute gradient of W2 over updates {window['first']} to {window['last']}, mean of the seeds; first layer over last, by seed.\n\n" + \
        table(["placement"] + [f"layer {l}" for l in shown] + ["first / last"], rows)


def relative(result):
    """Gradient norms over loss, as a share of the baseline's, mean of the seeds."""
    shown, rows = {"attn.qkv.weight": "q, k, v", "attn.out.weight": "attention's output", "ffn.up.weight": "W1", "ffn.down.weight": "W2"}, []
    for placement, seeds in by_placement(result, lambda r: (r.get("relative") or {}).get("ratios")).items():
        for layer in range(len(seeds[0])):
            rows.append([f"`{placement}`", str(layer)] + [number(mean([s[layer].get(k) for s in seeds]), "%.2f") for k in shown])
    return table(["placement", "layer"] + list(shown.values()), rows)


def stability(result):
    rows = [[f"`{r['placement']}`", number(r["median_lr"], "%.3g"), ", ".join(number(s["lr"], "%.3g") for s in r["runs"]), str(r["censored"])]
            for r in result["results"]]
    return table(["placement", "median rate", "by seed", "never broke"], rows)


def section(part, result):
    head = f"### {TITLES[part]}\n\n"
    if result["command"] == "compare":
        return head + compare(result) + ("\n\n" + claims(result, CLAIMS[part]) if part in CLAIMS else "")
    if part == "figure5": return head + stability(result)
    return head + (relative(result) if part == "figure7" else gradients(result))


def thin(value, keep=50):
    """Lists over updates become every 50th entry and the last."""
    if isinstance(value, list):
        if len(value) > 4 * keep: value = value[::keep] + ([value[-1]] if (len(value) - 1) % keep else [])
        return [thin(v, keep) for v in value]
    return {k: thin(v, keep) for k, v in value.items()} if isinstance(value, dict) else value


def main(argv):
    if argv[0] == "--thin":
        json.dump(thin(json.load(open(argv[1], encoding="utf8"))), sys.stdout, separators=(",", ":"))
        return
    folder, page = argv
    parts = [p for p in TITLES if os.path.exists(f"{folder}/{p}.json")]
    text = "\n\n".join(section(p, json.load(open(f"{folder}/{p}.json", encoding="utf8"))) for p in parts)
    with open(page, encoding="utf8") as f: before = f.read()
    if BEGIN not in before or END not in before: sys.exit(f"{page}: its marks are missing")
    if not parts: text = "No part has been run to its end on a machine of its own yet, so there are no numbers."
    after = re.sub(re.escape(BEGIN) + ".*" + re.escape(END), lambda _: f"{BEGIN}\n\n{text}\n\n{END}", before, flags=re.S)
    with open(page + ".part", "w", encoding="utf8") as f: f.write(after)
    os.replace(page + ".part", page)


if __name__ == "__main__":
    if len(sys.argv) != 3: sys.exit(__doc__)
    main(sys.argv[1:])
