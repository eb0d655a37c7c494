"""Writes models.json: a few tiny models with loss, logits, hidden and gradients, by PyTorch in float64.

    python models.py > models.json        (needs torch; the tests read the JSON only)

Each model is a dictionary of parameters in NormLab's names and one forward function of a screen. Placements
are dictionaries (slot -> what fills it); the NormSpec text that NormLab reads is printed from them. Parameters
are multiples of 1/256, so that they are the same numbers in any precision.
"""
import json
import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


# ------------------------------------------------------------------------------------------------ norms

def normalise(x, kind, p, eps):
    """p: .weight and perhaps .bias, .alpha of one norm."""
    if kind == "ln":
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt()
    elif kind == "rms":
        x = x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    elif kind == "dyt":
        x = torch.tanh(p["alpha"] * x)
    x = x * p["weight"]
    return x + p["bias"] if "bias" in p else x


def norm_shapes(kind, n):
    shapes = {"weight": [n]}
    if kind in ("ln", "dyt"):
        shapes["bias"] = [n]
    if kind == "dyt":
        shapes["alpha"] = []
    return shapes


class Model:
    """Parameters by name, drawn when they are first asked for."""

    def __init__(self, name, config, layers, embed=None, final=None, stream=None):
        self.name, self.config, self.layers = name, config, layers
        self.embed, self.final, self.stream = embed, final, stream
        self.parameters = {}
        self.random = torch.Generator().manual_seed(len(name) + 7 * config["layers"] + config["width"])
        c = config
        self.d, self.heads, self.f = c["width"], c["heads"], c["ffn_width"]
        self.kv, self.dh = c.get("kv_heads", c["heads"]), c["width"] // c["heads"]
        self.eps, self.glu = c.get("norm_eps", 1e-5), c["activation"] == "swiglu"

    def get(self, name, *shape):
        if name not in self.parameters:
            values = torch.randn(shape, generator=self.random)
            last = name.rsplit(".", 1)[-1]
            if name.endswith("norm.weight") or last in ("head_gain", "res_scale", "branch_scale", "qk_scale", "uv_scale"):
                values = 1 + values / 4
            elif last in ("step", "logit_scale", "alpha"):
                values = 0.5 + values / 8
            else:
                values = values / (2 if name.startswith("embed") or last == "bias" else math.sqrt(shape[-1]))
            self.parameters[name] = ((values * 256).round() / 256).requires_grad_()
        return self.parameters[name]

    def norm(self, x, kind, name, heads=None):
        """Over the last axis, or over each of `heads` blocks of it with one gain for all."""
        if kind is None:
            return x
        kind, _, span = kind.partition(".")
        shape = x.shape
        if span == "head":
            x = x.reshape(*shape[:-1], heads, -1)
        p = {part: self.get(f"{name}.{part}", *s) for part, s in norm_shapes(kind, x.shape[-1]).items()}
        return normalise(x, kind, p, self.eps).reshape(shape)

    def linear(self, x, name, rows, bias=None):
        w = self.get(name + ".weight", rows, x.shape[-1])
        bias = self.config.get("bias", True) if bias is None else bias
        return x @ w.T + (self.get(name + ".bias", rows) if bias else 0)

    # -------------------------------------------------------------------------------------------- layers

    def rotate(self, x):
        """Half-split rotary positions; x [B, T, heads, dh]."""
        half = self.dh // 2
        angle = torch.arange(x.shape[1])[:, None] * self.config.get("rope_theta", 1e4) ** (-torch.arange(half) / half)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    def attention(self, u, slots, name, allowed):
        B, T, _ = u.shape
        sizes = [self.heads * self.dh, self.kv * self.dh, self.kv * self.dh]
        q, k, v = self.linear(u, name + ".qkv", sum(sizes)).split(sizes, -1)
        q = self.norm(q, slots.get("q"), name + ".q_norm", self.heads)
        k = self.norm(k, slots.get("k"), name + ".k_norm", self.kv)
        v = self.norm(v, slots.get("v"), name + ".v_norm", self.kv)
        q, k, v = (t.reshape(B, T, -1, self.dh) for t in (q, k, v))
        if self.config["positions"] == "rope":
            q, k = self.rotate(q), self.rotate(k)
        scale = self.dh ** -0.5
        if self.stream == "ngpt":
            s = self.get(name + ".qk_scale", self.d) * math.sqrt(self.d)
            q = F.normalize(q, dim=-1) * s.reshape(self.heads, self.dh)
            k = F.normalize(k, dim=-1) * s.reshape(self.heads, self.dh)[: self.kv]
            scale = self.dh ** 0.5
        group = self.heads // self.kv  # query head h reads key and value head h // group
        k, v = k.repeat_interleave(group, 2), v.repeat_interleave(group, 2)
        scores = torch.einsum("bqhe,bkhe->bhqk", q, k) * scale
        weights = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
        out = torch.einsum("bhqk,bkhe->bqhe", weights, v)
        if slots.get("gain") == "inner":
            out = out * self.get(name + ".head_gain", self.heads)[:, None]
        out = self.norm(out.reshape(B, T, -1), slots.get("ctx"), name + ".ctx_norm", self.heads)
        out = self.linear(out, name + ".out", self.d)
        if slots.get("gain") == "outer":
            out = (out.reshape(B, T, self.heads, -1) * self.get(name + ".head_gain", self.heads)[:, None]).reshape(B, T, -1)
        return out

    def activate(self, up, gate):
        kind = self.config["activation"]
        if kind == "swiglu":
            return F.silu(gate) * up
        return {"gelu": F.gelu, "relu": F.relu, "relu2": lambda x: F.relu(x) ** 2}[kind](up)

    def feed_forward(self, u, slots, name):
        if "experts" in self.config:
            return self.experts(u, name)
        up = self.linear(u, name + ".up", self.f)
        gate = self.linear(u, name + ".gate", self.f) if self.glu else None
        if self.stream == "ngpt":
            s = self.get(name + ".uv_scale", 2 * self.f)
            up, gate = up * s[: self.f], gate * s[self.f:] * math.sqrt(self.d)
        h = self.norm(self.activate(up, gate), slots.get("mid"), name + ".mid_norm")
        return self.linear(h, name + ".down", self.d)

    def experts(self, u, name):
        """Each token goes to its best experts, one token at a time."""
        E, k = self.config["experts"], self.config["experts_per_token"]
        tokens = u.reshape(-1, self.d)
        probabilities = self.linear(tokens, name + ".router", E, bias=False).softmax(-1)
        up = self.get(name + ".experts.up.weight", E, self.f, self.d)
        gate = self.get(name + ".experts.gate.weight", E, self.f, self.d) if self.glu else None
        down = self.get(name + ".experts.down.weight", E, self.d, self.f)
        rows = []
        for x, p in zip(tokens, probabilities):
            best, chosen = p.topk(k)
            if self.config.get("router_normalize"):
                best = best / best.sum()
            rows.append(sum(w * (down[e] @ self.activate(up[e] @ x, gate[e] @ x if self.glu else None))
                            for w, e in zip(best, chosen.tolist())))
        return torch.stack(rows).reshape(u.shape)

    def scale(self, slots, key, name):
        word = str(slots.get(key, 1))
        if word == "vector":
            return self.get(f"{name}.{key}_scale", self.d)
        if word == "scalar":
            return self.get(f"{name}.{key}_scale")
        return float(word)

    def sublayer(self, x, slots, name, branch, extra=0):
        """-> (the stream after the join, what the branch gave)."""
        u = self.norm(x, slots.get("in"), name + ".in_norm")
        skip = u if slots.get("skip") == "norm" else x
        o = branch(u, slots, name)
        if self.stream == "ngpt":
            a = F.normalize(x, dim=-1)
            step = self.get(name + ".step", self.d).abs() * 0.05 * math.sqrt(self.d)
            return F.normalize(a + step * (F.normalize(o, dim=-1) - a), dim=-1), o
        o = self.norm(o, slots.get("out"), name + ".out_norm")
        y = self.scale(slots, "res", name) * skip + self.scale(slots, "branch", name) * o + extra
        return self.norm(y, slots.get("post"), name + ".post_norm"), o

    # -------------------------------------------------------------------------------------------- model

    def embedding(self, ids):
        if "adaptive" not in self.config:
            return F.embedding(ids, self.get("embed.tokens.weight", self.config["vocab_size"], self.d))
        x = torch.zeros(*ids.shape, self.d)
        for b, (first, last) in enumerate(self.bands()):
            inside = (ids >= first) & (ids < last)
            words = F.embedding(ids.clamp(first, last - 1) - first, self.band(b)) @ self.projection(b).T
            x = x + inside[..., None] * words
        return x

    def bands(self):
        edges = [0, *self.config["adaptive"]["cutoffs"], self.config["vocab_size"]]
        return list(zip(edges, edges[1:]))

    def band(self, b):
        first, last = self.bands()[b]
        return self.get(f"embed.bands.{b}.weight", last - first, self.d // self.config["adaptive"]["factor"] ** b)

    def projection(self, b):
        return self.get(f"embed.bands.{b}.projection.weight", self.d, self.d // self.config["adaptive"]["factor"] ** b)

    def hidden(self, ids, mask=None, types=None):
        c, T = self.config, ids.shape[1]
        x = self.embedding(ids) * c.get("embed_scale", 1)
        offset = c.get("position_offset", 0)
        if c["positions"] == "learned":
            x = x + self.get("embed.positions.weight", c["context"] + offset, self.d)[offset:offset + T]
        if c["positions"] == "sinusoidal":
            half = self.d // 2
            angle = (torch.arange(T) + offset)[:, None] * 10000 ** (-torch.arange(half) / (half - 1))
            x = x + torch.cat([angle.sin(), angle.cos()], -1)
        if "token_types" in c:
            x = x + F.embedding(types, self.get("embed.types.weight", c["token_types"], self.d))
        x = self.norm(x, self.embed, "embed.norm")
        allowed = torch.ones(T, T, dtype=torch.bool)
        if c["objective"] == "clm":
            allowed = allowed.tril()
        allowed = allowed.expand(ids.shape[0], 1, T, T)
        if mask is not None:  # a row of padding reads itself, which nobody scores
            allowed = allowed & mask.bool()[:, None, None, :] | torch.eye(T, dtype=torch.bool)
        second = 0.5 * x  # ResiDual's other stream, used when stream=residual(0.5)
        for i, layer in enumerate(self.layers):
            entrance = x
            attend = lambda u, slots, name: self.attention(u, slots, name, allowed)
            x, o = self.sublayer(x, layer["attn"], f"layers.{i}.attn", attend)
            second = second + 0.5 * o
            x, o = self.sublayer(x, layer["ffn"], f"layers.{i}.ffn", self.feed_forward,
                                 extra=entrance if self.stream == "b2t" else 0)
            second = second + 0.5 * o
        if self.stream == "residual(0.5)":
            return x + self.norm(second, self.final, "final_norm")
        return self.norm(x, self.final, "final_norm")

    def head(self, hidden):
        c = self.config
        if c["objective"] == "classify":
            first = torch.tanh(self.linear(hidden[:, 0], "classify.dense", self.d, bias=True))
            return self.linear(first, "classify.out", c["classes"], bias=True)
        if "adaptive" in c:
            words = torch.cat([self.band(0), self.get("head.clusters.weight", len(self.bands()) - 1, self.d)])
            first = (hidden @ words.T).log_softmax(-1)
            n = self.bands()[0][1]
            parts = [first[..., :n]]
            for b in range(1, len(self.bands())):
                tail = (hidden @ self.projection(b) @ self.band(b).T).log_softmax(-1)
                parts.append(first[..., n + b - 1:n + b] + tail)
            return torch.cat(parts, -1)
        x, bias = hidden, 0
        if c["objective"] == "mlm":
            x = self.norm(F.gelu(self.linear(x, "mlm.dense", self.d, bias=True)), "ln", "mlm.norm")
            bias = self.get("head.bias", c["vocab_size"])
        tied = c.get("tied", True)
        w = self.get("embed.tokens.weight") if tied else self.get("head.weight", c["vocab_size"], self.d)
        logits = x @ w.T + bias
        if self.stream == "ngpt":
            logits = logits * self.get("head.logit_scale", c["vocab_size"]) * math.sqrt(self.d)
        return logits

    def loss(self, logits, ids, labels):
        if self.config["objective"] == "classify":
            if self.config["classes"] == 1:
                return F.mse_loss(logits[:, 0], torch.tensor(labels))
            return F.cross_entropy(logits, torch.tensor(labels))
        if labels is None:  # the next token
            return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        return F.cross_entropy(logits.flatten(0, 1), torch.tensor(labels).flatten(), ignore_index=-100)

    def run(self, tokens):
        given = {k: torch.tensor(v) for k, v in tokens.items() if k != "labels"}
        hidden = self.hidden(given["input_ids"], given.get("attention_mask"), given.get("token_type_ids"))
        logits = self.head(hidden)
        loss = self.loss(logits, given["input_ids"], tokens.get("labels"))
        loss.backward()
        flat = lambda t: t.detach().flatten().tolist()
        tensors = {"loss": flat(loss), "logits": flat(logits), "hidden": flat(hidden)}
        tensors |= {"grad." + n: flat(p.grad) for n, p in self.parameters.items()}
        config = {"format": "normlab-model", "version": 1, **self.config, "norms": self.spec()}
        parameters = {n: {"shape": list(p.shape), "values": flat(p)} for n, p in self.parameters.items()}
        return {"name": self.name, "config": config, "parameters": parameters, "tokens": tokens, "expected": tensors}

    def spec(self):
        def text(slots, which):
            return which + "{" + " ".join(f"{k}={v}" for k, v in slots.items()) + "}"

        def layer(l):
            return text(l["attn"], "attn") + " " + text(l["ffn"], "ffn")
        out = layer(self.layers[-1])
        for key, value in (("embed", self.embed), ("final", self.final), ("stream", self.stream)):
            if value:
                out += f" {key}={value}"
        return out + "".join(f"; {i}: {layer(l)}" for i, l in enumerate(self.layers) if l != self.layers[-1])


# ------------------------------------------------------------------------------------------------ the models

def config(objective="clm", activation="gelu", positions="learned", **more):
    return dict(objective=objective, vocab_size=13, context=6, layers=2, width=8, heads=2, ffn_width=10,
                activation=activation, positions=positions) | more


IDS = [[4, 9, 2, 11, 7, 5], [3, 3, 12, 6, 8, 10]]
CLM = {"input_ids": IDS}
MASKED = {"input_ids": IDS, "labels": [[-100, 9, -100, 1, -100, 5], [3, -100, 12, -100, -100, -100]],
          "attention_mask": [[1] * 6, [1, 1, 1, 1, 0, 0]], "token_type_ids": [[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 0, 0]]}
hybrid = {"attn": dict(q="rms.head", k="rms.head", v="rms.head"), "ffn": {"in": "rms", "skip": "norm"}}
hybrid_first = {"attn": {"in": "rms", **hybrid["attn"]}, "ffn": {"in": "rms"}}
normformer = {"attn": {"in": "ln", "out": "ln", "gain": "inner"}, "ffn": {"in": "ln", "mid": "ln", "res": "vector"}}
pre = {"attn": {"in": "ln"}, "ffn": {"in": "ln"}}
post = {"attn": {"post": "ln"}, "ffn": {"post": "ln"}}
odd = {"attn": {"in": "dyt", "ctx": "rms.full", "gain": "outer", "branch": "vector", "skip": "norm"},
       "ffn": {"mid": "dyt", "post": "rms", "res": "scalar", "branch": "0.5"}}
empty = {"attn": {}, "ffn": {}}

models = [
    (Model("normformer", config(position_offset=2, embed_scale=2.5), [normformer] * 2, final="ln"), CLM),
    (Model("hybridnorm_star", config(activation="swiglu", positions="rope", heads=4, kv_heads=2, bias=False, tied=False,
                                     rope_theta=500.0), [hybrid_first, hybrid], final="rms"), CLM),
    (Model("post_ln mlm", config("mlm", token_types=2), [post] * 2, embed="ln"), MASKED),
    (Model("experts", config(activation="swiglu", positions="none", bias=False, experts=4, experts_per_token=2,
                             router_normalize=True, layers=1), [pre], final="ln"), CLM),
    (Model("ngpt", config(activation="swiglu", positions="rope", bias=False, tied=False), [empty] * 2, stream="ngpt"),
     CLM),
    (Model("residual", config(activation="relu", positions="sinusoidal"), [post] * 2, final="ln",
           stream="residual(0.5)"), CLM),
    (Model("b2t", config(activation="relu"), [post] * 2, stream="b2t"), CLM),
    (Model("odd", config(activation="relu2", norm_eps=1e-3), [pre, odd], final="dyt"), CLM),
    (Model("adaptive", config(adaptive={"cutoffs": [4, 9], "factor": 2}, vocab_size=14, layers=1), [pre]), CLM),
    (Model("classify", config("classify", classes=3, layers=1), [pre], final="ln"),
     {"input_ids": IDS, "labels": [2, 0], "attention_mask": [[1] * 6, [1, 1, 1, 1, 0, 0]]}),
    (Model("regression", config("classify", classes=1, layers=1), [post], embed="ln"),
     {"input_ids": IDS, "labels": [1.25, -0.5]}),
]


def number(x):
    """17 digits, without trailing zeros."""
    return float(x) if isinstance(x, float) and x != int(x) else int(x)


print("[")
for i, (model, tokens) in enumerate(models):
    case = model.run(tokens)
    for group in (case["expected"], {n: p["values"] for n, p in case["parameters"].items()}):
        for values in group.values():
            values[:] = [number(v) for v in values]
    lines = []
    for key, value in case.items():
        if key in ("parameters", "expected"):
            inner = ",\n".join(f"   {json.dumps(n)}: {json.dumps(v, separators=(',', ':'))}" for n, v in value.items())
            lines.append(f"  {json.dumps(key)}: {{\n{inner}\n  }}")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    print(" {\n" + ",\n".join(lines) + "\n }" + ("," if i + 1 < len(models) else ""))
print("]")
