"""Writes hf_models.json: tiny random models of other people's architectures, with the loss and the logits that
their own code (transformers) computes.

    python hf_models.py > hf_models.json        (needs torch and transformers; the tests read the JSON only)

That code casts to float32 inside norms, softmaxes and rotary angles. Here float32 is made to mean float64 while
it runs, so that what it gives is good to float64. Parameters are multiples of 1/256: the same numbers in any
precision. Configs and tensor names are those that save_pretrained writes.
"""
import json
import os
import tempfile

import torch
import transformers
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

transformers.logging.set_verbosity_error()
SIZES = dict(vocab_size=13, hidden_size=8, num_hidden_layers=2, num_attention_heads=4, intermediate_size=10,
             max_position_embeddings=12, pad_token_id=0, bos_token_id=1, eos_token_id=2, attn_implementation="eager")
LLAMA = SIZES | dict(num_key_value_heads=2)
OPT = {k: v for k, v in SIZES.items() if k != "intermediate_size"} | dict(ffn_dim=10)
ROPE = dict(rope_theta=100.0, factor=4.0)


def stretched(kind, **more):
    return dict(head_dim=8, rope_parameters=ROPE | dict(rope_type=kind) | more)


def longrope(original):
    return stretched("longrope", original_max_position_embeddings=original, short_factor=[1.0, 1.25, 1.5, 2.0],
                     long_factor=[1.0, 2.0, 4.0, 6.0])


MODELS = {
    "qwen2": ("Qwen2", LLAMA),
    "qwen3": ("Qwen3", LLAMA | dict(head_dim=4, attention_bias=True, tie_word_embeddings=True)),
    "qwen3_moe": ("Qwen3Moe", LLAMA | dict(head_dim=4, num_experts=3, num_experts_per_tok=2, norm_topk_prob=True,
                                           moe_intermediate_size=6, experts_implementation="eager")),
    "mistral": ("Mistral", LLAMA | dict(sliding_window=10)),
    "mixtral": ("Mixtral", LLAMA | dict(num_local_experts=3, num_experts_per_tok=2, experts_implementation="eager")),
    "gemma": ("Gemma", LLAMA | dict(head_dim=4)),
    "gemma2": ("Gemma2", LLAMA | dict(head_dim=4, query_pre_attn_scalar=6, sliding_window=10)),
    "llama, linear angles": ("Llama", LLAMA | stretched("linear")),
    "llama, dynamic angles": ("Llama", LLAMA | stretched("dynamic")),
    "llama 3.1": ("Llama", LLAMA | stretched("llama3", low_freq_factor=1.0, high_freq_factor=4.0,
                                             original_max_position_embeddings=24)),
    "llama, yarn": ("Llama", LLAMA | stretched("yarn", original_max_position_embeddings=12, beta_fast=2.0, beta_slow=0.5)),
    "opt": ("OPT", OPT),
    "opt, post-norm": ("OPT", OPT | dict(do_layer_norm_before=False, enable_bias=False)),
    "distilbert": ("DistilBert", dict(vocab_size=13, dim=8, n_layers=2, n_heads=4, hidden_dim=10, max_position_embeddings=12,
                                      attn_implementation="eager")),
    "gpt_neox": ("GPTNeoX", SIZES | dict(num_attention_heads=1, rotary_pct=0.5)),
    "gpt_neox, one branch after the other": ("GPTNeoX", SIZES | dict(num_attention_heads=2, rotary_pct=1.0, attention_bias=False,
                                                                     use_parallel_residual=False)),
    "mistral, a window": ("Mistral", LLAMA | dict(sliding_window=4)),
    "gemma2, a window": ("Gemma2", LLAMA | dict(head_dim=4, query_pre_attn_scalar=6, sliding_window=3)),
    "qwen2, a window in the upper layer": ("Qwen2", LLAMA | dict(use_sliding_window=True, sliding_window=4, max_window_layers=1)),
    "gpt_neo": ("GPTNeo", dict(vocab_size=13, hidden_size=8, num_layers=2, num_heads=4, intermediate_size=10, window_size=4,
                               max_position_embeddings=12, attention_types=[[["global", "local"], 1]],
                               attn_implementation="eager")),
    "opt, post-norm with narrow embeddings": ("OPT", OPT | dict(do_layer_norm_before=False, word_embed_proj_dim=6)),
    "llama, longrope, a short row": ("Llama", LLAMA | longrope(10)),
    "llama, longrope, a long row": ("Llama", LLAMA | longrope(9)),
    "opt, padding before and between tokens": ("OPT", OPT),
}
IDS = [[4, 9, 2, 11, 7, 5, 8, 12, 3, 6], [3, 3, 12, 6, 8, 10, 4, 4, 9, 1]]
LABELS = [[-100, 9, -100, 1, -100, 5, -100, 8, -100, -100], [3, -100, 12, -100, -100, -100, -100, -100, -100, -100]]
MASK = [[1] * 10, [1] * 7 + [0] * 3]
LEFT_LABELS = [[-100, 9, -100, -100, 7, -100, 8, -100, 3, -100], [-100, -100, -100, -100, 8, 10, -100, 4, -100, -100]]
LEFT_MASK = [[1, 1, 1, 0, 1, 1, 1, 1, 1, 1], [0] * 3 + [1] * 7]


class Float32MeansFloat64:
    """The other code's casts do nothing."""

    def __enter__(self):
        self.saved = torch.float32, torch.float, torch.Tensor.float, torch.get_default_dtype()
        torch.float32 = torch.float = torch.float64
        torch.Tensor.float = torch.Tensor.double
        torch.set_default_dtype(torch.float64)

    def __exit__(self, *_):
        torch.float32, torch.float, torch.Tensor.float, default = self.saved
        torch.set_default_dtype(default)


def fill(model, seed):
    random = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        values = torch.randn(p.shape, generator=random, dtype=torch.float64) / (4 if p.dim() == 1 else 2)
        if p.dim() == 1 and name.endswith("weight") and "emma" not in type(model).__name__:
            values += 1
        p.data = (values * 256).round() / 256


def run(name, kind, settings, seed):
    config = getattr(transformers, kind + "Config")(**settings)
    masked, padded = kind == "DistilBert", name.endswith("between tokens")
    labels, mask = (LEFT_LABELS, LEFT_MASK) if padded else (LABELS, MASK)
    with Float32MeansFloat64():
        model = getattr(transformers, kind + ("ForMaskedLM" if masked else "ForCausalLM"))(config).eval()
        fill(model, seed)
        model.tie_weights()
        ids = torch.tensor(IDS)
        tokens = {"input_ids": IDS}
        if masked or padded:
            tokens |= {"labels": labels, "attention_mask": mask}
            logits = model(ids, attention_mask=torch.tensor(mask)).logits
            loss = cross_entropy(logits.flatten(0, 1), torch.tensor(labels).flatten())
        else:
            logits = model(ids, use_cache=False).logits
            loss = cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        saved = json.load(open(os.path.join(folder, "config.json")))
        tensors = load_file(os.path.join(folder, "model.safetensors"))
    saved.pop("transformers_version"), saved.pop("dtype")
    parameters = {n: {"shape": list(t.shape), "values": numbers(t)} for n, t in tensors.items()}
    return {"name": name, "config": saved, "parameters": parameters, "tokens": tokens,
            "expected": {"loss": numbers(loss), "logits": numbers(logits)}}


def numbers(tensor):
    """As short as they read back the same."""
    return [int(x) if x == int(x) else x for x in tensor.detach().double().flatten().tolist()]


def write():
    print("[")
    for i, (name, (kind, settings)) in enumerate(MODELS.items()):
        case = run(name, kind, settings, 31 + i)
        lines = []
        for key, value in case.items():
            if key in ("parameters", "expected"):
                inner = ",\n".join(f"   {json.dumps(n)}: {json.dumps(v, separators=(',', ':'))}" for n, v in value.items())
                lines.append(f"  {json.dumps(key)}: {{\n{inner}\n  }}")
            else:
                lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
        print(" {\n" + ",\n".join(lines) + "\n }" + ("," if i + 1 < len(MODELS) else ""))
    print("]")


if __name__ == "__main__":
    write()
