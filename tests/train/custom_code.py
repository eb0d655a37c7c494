"""What the Python files that `convert --custom-code` writes compute, beside what NormLab computed.

    python custom_code.py FOLDER...         (needs torch and transformers; custom_code_test.cc runs it where they are)

Each folder is a converted model with tokens.json and expected.safetensors (loss, logits, grad.NAME in float64).
Checked: every tensor has its place; logits, loss and gradients to 1e-9; the same gradients, bit for bit, with
gradient checkpointing; generate() with keys and values kept, rows padded on the left too.
"""
import json
import math
import os
import sys
import warnings

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification

CLASSES = {"clm": AutoModelForCausalLM, "mlm": AutoModelForMaskedLM, "classify": AutoModelForSequenceClassification}


def relative(a, b, floor=1e-30):
    return float((a.double() - b.double()).norm() / max(float(b.double().norm()), floor))


def gradients(model, inputs, labels, causal):
    """Labels stand at the position that predicts them, so a causal model's own shift would be one too many."""
    model.zero_grad()
    result = model(**inputs, **({} if causal else {"labels": labels}))
    loss = result.loss
    if causal:
        loss = torch.nn.functional.cross_entropy(result.logits.flatten(0, 1), labels.flatten())
    loss.backward()
    return result.logits.detach(), loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters()}


def check_generate(model, ids, longest):
    prompt, steps = ids[:, :2], min(longest, ids.shape[1] + 2) - 4
    settings = dict(do_sample=False, pad_token_id=0, eos_token_id=None, max_new_tokens=steps)
    with torch.no_grad():
        kept = model.generate(prompt, attention_mask=torch.ones_like(prompt), **settings)
        whole = prompt
        for _ in range(steps):
            next_ids = model(whole, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)
            whole = torch.cat([whole, next_ids], 1)
        assert torch.equal(kept, whole), "generate() with keys and values kept"
        padded = torch.cat([torch.zeros_like(prompt), prompt], 1)
        mask = (torch.arange(4) > 1).long().expand(padded.shape)
        left = model.generate(padded, attention_mask=mask, **settings)
        assert torch.equal(left[:, 2:], kept), "generate() of rows that are padded on the left"


def check(folder):
    c = json.load(open(os.path.join(folder, "config.json")))["normlab"]
    tokens = json.load(open(os.path.join(folder, "tokens.json")))
    expected = load_file(os.path.join(folder, "expected.safetensors"))
    model, info = CLASSES[c["objective"]].from_pretrained(folder, trust_remote_code=True, dtype=torch.float64,
                                                          output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    model.eval()
    labels = torch.tensor(tokens.pop("labels"))
    inputs = {n: torch.tensor(v) for n, v in tokens.items()}
    logits, loss, g = gradients(model, inputs, labels, c["objective"] == "clm")
    assert {"grad." + n for n in g} == {n for n in expected if n.startswith("grad.")}, "other parameters"
    rows = slice(None) if logits.dim() == 2 or "attention_mask" not in inputs else inputs["attention_mask"].bool()
    floor = 1e-3 * math.sqrt(sum(float(t.norm()) ** 2 for n, t in expected.items() if n.startswith("grad.")))
    errors = {"logits": relative(logits[rows], expected["logits"][rows]), "loss": relative(loss, expected["loss"][0])}
    errors |= {n: relative(t, expected["grad." + n], floor) for n, t in g.items()}
    model.train()
    model.gradient_checkpointing_enable()
    again = gradients(model, inputs, labels, c["objective"] == "clm")[2]
    assert all(torch.equal(again[n], g[n]) for n in g), "gradient checkpointing"
    model.gradient_checkpointing_disable()
    model.eval()
    if c["objective"] == "clm":
        check_generate(model, inputs["input_ids"], c.get("longest_row") or c["context"])
    body = AutoModel.from_pretrained(folder, trust_remote_code=True)
    assert body(inputs["input_ids"]).last_hidden_state.shape[-1] == c["width"]
    return max(errors, key=errors.get), max(errors.values())


def main():
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    wrong = 0
    for folder in sys.argv[1:]:
        name, error = check(folder)
        print(f"{os.path.basename(folder)}: worst {name} {error:.1e}")
        wrong += not error <= 1e-9
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
