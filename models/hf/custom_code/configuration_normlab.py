"""The config of a NormLab model for transformers: `normlab` holds the model directory's own config.json, and the
placement of the norms is its text `norms`. Read next: modeling_normlab.py."""
import re

from transformers import PretrainedConfig

SLOTS = {
    "attn": ("in", "q", "k", "v", "ctx", "out", "post", "gain", "res", "branch", "skip"),
    "ffn": ("in", "mid", "out", "post", "res", "branch", "skip"),
}
NORMS = ("ln", "rms", "dyt", "l2")


class Norm:
    """`rms.head(eps=1e-6)` taken apart: kind, span ("head", "full" or ""), options."""

    def __init__(self, text):
        found = re.fullmatch(r"(\w+)(?:\.(head|full))?(?:\((.*)\))?", text)
        if not found or found[1] not in NORMS:
            raise ValueError(f"norms: {text!r} is not a norm")
        pairs = [pair.split("=") for pair in (found[3] or "").split(",") if pair]
        self.kind, self.span, self.options = found[1], found[2] or "", {k: float(v) for k, v in pairs}


class Scale:
    """A factor: a number, or learned: `vector`, `scalar` or `shared`, with an initial value in brackets."""

    def __init__(self, text):
        word, _, rest = text.partition("(")
        self.learned = word if word in ("vector", "scalar", "shared") else ""
        self.value = float(rest.rstrip(")") or 1) if self.learned else float(text)


def _slots(text, sublayer):
    slots = {}
    for pair in text.split():
        name, _, value = pair.partition("=")
        if name not in SLOTS[sublayer]:
            raise ValueError(f"norms: unknown slot of {sublayer}{{}} {name!r}")
        if name in ("gain", "skip"):
            slots[name] = value
        elif name in ("res", "branch"):
            slots[name] = Scale(value)
        else:
            slots[name] = Norm(value)
    return slots


def _clause(text):
    parts = {}
    pattern = r"(attn|ffn)\{([^}]*)\}|(embed|final|stream|init)=(\S+)"
    for found in re.finditer(pattern, text):
        if found[1]:
            parts[found[1]] = _slots(found[2], found[1])
        else:
            parts[found[3]] = found[4]
    rest = re.sub(pattern, "", text).strip()
    if rest:
        raise ValueError(f"norms: cannot read {rest!r}")
    return parts


def _bound(word, layers):
    n = int(word[:-1]) * layers // 100 if word.endswith("%") else int(word)
    return n + layers if n < 0 else n


class Placement:
    """Where the norms of a model stand: `layers[i]["attn"]["in"]` and so on, and `embed`, `final`, `stream`, `c`."""

    def __init__(self, text, layers):
        first, *rules = text.split(";")
        model = _clause(first)
        self.layers = [{"attn": model.get("attn", {}), "ffn": model.get("ffn", {})} for _ in range(layers)]
        for rule in rules:
            span, _, body = rule.strip().partition(":")
            low, _, high = span.partition("..")
            begin = _bound(low.strip(), layers)
            end = _bound(high.strip(), layers) if high else begin + 1
            parts = _clause(body)
            for layer in self.layers[begin:end]:
                layer.update({name: parts[name] for name in ("attn", "ffn") if name in parts})
        self.embed, self.final = (Norm(model[name]) if name in model else None for name in ("embed", "final"))
        self.stream, _, c = model.get("stream", "plain").partition("(")
        if self.stream not in ("plain", "residual", "b2t", "ngpt", "parallel"):
            raise ValueError(f"norms: unknown stream {self.stream!r}")
        self.c = float(c.rstrip(")") or 1)


class NormLabConfig(PretrainedConfig):
    model_type = "normlab"
    keys_to_ignore_at_inference = ["cache", "past_key_values"]

    def __init__(self, normlab=None, **kwargs):
        self.normlab = n = dict(normlab or {})
        heads = n.get("heads", 1)
        self.vocab_size, self.hidden_size = n.get("vocab_size", 1), n.get("width", 1)
        self.num_hidden_layers, self.num_attention_heads = n.get("layers", 1), heads
        self.num_key_value_heads = n.get("kv_heads", heads)
        self.head_dim = n.get("head_dim", self.hidden_size // heads)
        self.intermediate_size = n.get("ffn_width", 1)
        self.max_position_embeddings = n.get("context", 1)
        self.use_cache = kwargs.pop("use_cache", n.get("objective", "clm") == "clm")
        for derived in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
                        "head_dim", "intermediate_size", "max_position_embeddings"):
            kwargs.pop(derived, None)
        kwargs["tie_word_embeddings"] = False  # a tied head is the embedding itself, not a second tensor
        if n.get("objective") == "classify":
            kwargs.setdefault("num_labels", n["classes"])
        super().__init__(**kwargs)

    def placement(self):
        return Placement(self.normlab["norms"], self.normlab["layers"])
