"""NormLab models for transformers: one transformer in which the placement of every norm is data.

A layer is two sublayers, and a sublayer is a list of slots, of which an empty one is the identity:

    u = in(x);  s = x or u;  o = out(branch(u));  y = post(res * s + branch_scale * o)

Parameters have the names that NormLab gives them, so that model.safetensors is the same file in both places.
The model has no dropout. Read first: configuration_normlab.py.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    CausalLMOutputWithPast,
    MaskedLMOutput,
    SequenceClassifierOutput,
)

from .configuration_normlab import Norm, NormLabConfig

# The name under which this version of transformers hands keys and values around.
CACHE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"


def wide(x):
    """At least float32: what statistics are formed in."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def unit(x):
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-30)


class NormLayer(nn.Module):
    """`heads`: how many blocks of the row a `.head` norm treats each by itself, with one gain for all."""

    def __init__(self, norm, width, config, heads=1):
        super().__init__()
        self.kind, self.blocks = norm.kind, heads if norm.span == "head" else 1
        self.eps = norm.options.get("eps", config.get("norm_eps", 1e-5))
        self.offset = config.get("gain_offset", 0)
        n = width // self.blocks
        self.weight = nn.Parameter(torch.full((n,), 1.0 - self.offset))
        has_bias = norm.kind == "dyt" or (norm.kind == "ln" and norm.options.get("bias", 1))
        self.bias = nn.Parameter(torch.zeros(n)) if has_bias else None
        self.alpha = nn.Parameter(torch.tensor(norm.options.get("alpha", 0.5))) if norm.kind == "dyt" else None

    def forward(self, given):
        x = wide(given.unflatten(-1, (self.blocks, -1)))
        if self.kind == "dyt":
            x = torch.tanh(wide(self.alpha) * x)
        elif self.kind == "l2":
            x = x * torch.rsqrt((x * x).sum(-1, keepdim=True) + self.eps)
        else:
            if self.kind == "ln":
                x = x - x.mean(-1, keepdim=True)
            x = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps)
        x = x * (wide(self.weight) + self.offset)
        if self.bias is not None:
            x = x + wide(self.bias)
        return x.flatten(-2).to(given.dtype)


def activate(name, up, gate):
    function = {"gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "relu": F.relu,
                "relu2": lambda x: F.relu(x).square(), "silu": F.silu}
    inner = {"swiglu": "silu", "geglu": "gelu", "geglu_tanh": "gelu_tanh", "reglu": "relu"}.get(name)
    return function[inner](gate) * up if inner else function[name](up)


def is_gated(config):
    return config["activation"] in ("swiglu", "geglu", "geglu_tanh", "reglu")


def has_bias(config, part):
    bias = config.get("bias", True)
    return bias if isinstance(bias, bool) else bias.get(part, True)


def window_of(config, layer):
    """Keys that a query of this layer sees, its own included; 0: all."""
    return config.get("window", 0) if layer in config.get("window_layers", range(config["layers"])) else 0


class Weight(nn.Module):
    """A matrix that is no nn.Linear: a stack of experts, an untied head, adaptive words."""

    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        nn.init.normal_(self.weight, std=0.02)


# ------------------------------------------------------------------------------------------------ positions


def rope_frequencies(c, n, length):
    """Of each pair (i, i + n/2) of a head's channels, in radians a position, and the factor on what turns, in rows
    of `length` tokens."""
    turning, theta = c.get("rope_width", n), c.get("rope_theta", 1e4)
    f = theta ** (-torch.arange(0, turning, 2, dtype=torch.float64) / turning)
    s, amplitude = c.get("rope_scaling"), 1.0
    if s:
        factor = s["factor"]
        if s["kind"] == "linear":
            f = f / factor
        elif s["kind"] == "llama3":
            low, high = s.get("low_freq_factor", 1.0), s.get("high_freq_factor", 4.0)
            turns = s["original_context"] * f / (2 * math.pi)
            smooth = ((turns - low) / (high - low)).clamp(0, 1)
            f = (1 - smooth) * f / factor + smooth * f
        elif s["kind"] == "yarn":
            def pair(turns):
                return turning * math.log(s["original_context"] / (turns * 2 * math.pi)) / (2 * math.log(theta))
            low, high = pair(s.get("beta_fast", 32.0)), pair(s.get("beta_slow", 1.0))
            if s.get("truncate", True):
                low, high = math.floor(low), math.ceil(high)
            low, high = max(low, 0), min(high, turning - 1)
            high += 0.001 if low == high else 0
            ramp = ((torch.arange(len(f), dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
            f = f * (ramp / factor + 1 - ramp)
            amplitude = s.get("attention_factor", 0.1 * math.log(factor) + 1 if factor > 1 else 1.0)
        elif s["kind"] == "longrope":
            original = s["original_context"]
            f = f / torch.tensor(s["long_factor" if length > original else "short_factor"], dtype=torch.float64)
            usual = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
            amplitude = s.get("attention_factor", usual)
        else:
            raise ValueError(f"rope_scaling: unknown kind {s['kind']!r}")
    return torch.cat([f, torch.zeros(n // 2 - len(f), dtype=torch.float64)]), amplitude


def rotates_late(c):
    """Whether keys are kept as they were before they turned: their angles change when the row grows."""
    return (c.get("rope_scaling") or {}).get("kind") == "longrope"


def rope_table(c, n, positions, length):
    """(cos, sin) [..., T, n/2] in float64."""
    f, amplitude = rope_frequencies(c, n, length)
    f = f.to(positions.device)
    angle = positions[..., None].double() * f
    factor = torch.ones_like(f).masked_fill(f != 0, amplitude)
    return angle.cos() * factor, angle.sin() * factor


def rotate(x, table):
    """x [B, heads, T, n]."""
    cos, sin = (t[:, None].to(wide(x).dtype) for t in table)
    a, b = wide(x).chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)


def sinusoids(positions, width):
    half = width // 2
    f = torch.exp(torch.arange(half, dtype=torch.float64, device=positions.device) * (-math.log(10000) / (half - 1)))
    angle = positions[..., None].double() * f
    return torch.cat([angle.sin(), angle.cos()], -1)


# ------------------------------------------------------------------------------------------------- sublayers


class Sublayer(nn.Module):
    """The frame around a branch; subclasses give `branch(u, ...)`."""

    def __init__(self, slots, c, stream):
        super().__init__()
        self.slots, self.stream = slots, stream
        d = c["width"]
        for slot in ("in", "out", "post"):
            if slot in slots:
                setattr(self, slot + "_norm", NormLayer(slots[slot], d, c))
        for slot in ("res", "branch"):
            learned = slots[slot].learned if slot in slots else ""
            if learned in ("vector", "scalar"):
                size = (d,) if learned == "vector" else ()
                setattr(self, slot + "_scale", nn.Parameter(torch.full(size, slots[slot].value)))
        if stream == "ngpt":
            self.step = nn.Parameter(torch.full((d,), d ** -0.5))

    def norm(self, slot, x):
        return getattr(self, slot + "_norm")(x) if slot in self.slots else x

    def scaled(self, slot, x, shared):
        if slot not in self.slots:
            return x
        scale = self.slots[slot]
        if not scale.learned:
            return x * scale.value
        return x * (shared if scale.learned == "shared" else getattr(self, slot + "_scale"))

    def forward(self, x, shared, entrance, **given):
        """-> the stream behind the join, and what the branch gave. `entrance`: the layer's input, where the branch
        reads it (parallel) or the join adds it (b2t)."""
        source = entrance if entrance is not None and self.stream == "parallel" else x
        u = self.norm("in", source)
        o = self.branch(u, **given)
        if self.stream == "ngpt":
            a = unit(wide(x))
            step = wide(self.step).abs() * (0.05 * x.shape[-1] ** 0.5)
            return unit(a + step * (unit(wide(o)) - a)).to(x.dtype), o
        o = self.norm("out", o)
        skip = u if self.slots.get("skip") == "norm" else x
        if self.stream == "b2t" and entrance is not None:
            skip = skip + entrance
        y = self.scaled("res", skip, shared) + self.scaled("branch", o, shared)
        return self.norm("post", y), o


class Attention(Sublayer):
    def __init__(self, slots, c, stream, index):
        super().__init__(slots, c, stream)
        self.index, self.heads = index, c["heads"]
        self.kv_heads, d = c.get("kv_heads", c["heads"]), c["width"]
        self.n = n = c.get("head_dim", d // self.heads)
        self.causal, self.softcap = c["objective"] == "clm", c.get("attn_softcap")
        self.window, self.late = window_of(c, index), rotates_late(c)
        self.scale = c.get("attn_scale") or (n ** 0.5 if stream == "ngpt" else n ** -0.5)
        widths = {"q": self.heads * n, "k": self.kv_heads * n, "v": self.kv_heads * n, "ctx": self.heads * n}
        self.widths = [widths["q"], widths["k"], widths["v"]]
        for slot, width in widths.items():
            if slot in slots:
                setattr(self, slot + "_norm", NormLayer(slots[slot], width, c, width // n))
        self.qkv = nn.Linear(d, sum(self.widths), bias=has_bias(c, "qkv"))
        self.out = nn.Linear(widths["q"], d, bias=has_bias(c, "out"))
        if "gain" in slots:
            self.head_gain = nn.Parameter(torch.ones(self.heads))
        if stream == "ngpt":
            self.qk_scale = nn.Parameter(torch.full((widths["q"],), d ** -0.5))

    def split(self, x):
        return x.unflatten(-1, (-1, self.n)).transpose(1, 2)

    def branch(self, u, masks, table, cache):
        mask = masks[self.window]
        q, k, v = self.qkv(u).split(self.widths, -1)
        q, k, v = (self.split(self.norm(slot, x)) for slot, x in (("q", q), ("k", k), ("v", v)))
        if cache is not None and self.late:
            k, v = cache.update(k, v, self.index)
        if table is not None:
            q, k = rotate(q, table[0]), rotate(k, table[1])
        if self.stream == "ngpt":
            scale = (wide(self.qk_scale) * u.shape[-1] ** 0.5).unflatten(-1, (self.heads, 1, self.n))
            q = (unit(wide(q)) * scale).to(q.dtype)
            k = (unit(wide(k)) * scale[: self.kv_heads]).to(k.dtype)
        if cache is not None and not self.late:
            k, v = cache.update(k, v, self.index)
        group = self.heads // self.kv_heads
        if group > 1:
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        if self.softcap is None:
            whole = mask is None and self.causal and q.shape[2] > 1
            o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=whole, scale=self.scale)
        else:
            if mask is None and self.causal:
                mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril(k.shape[2] - q.shape[2])
            scores = wide(q) @ wide(k).transpose(-1, -2) * self.scale
            scores = self.softcap * torch.tanh(scores / self.softcap)
            if mask is not None:
                scores = scores.masked_fill(~mask, float("-inf"))
            o = scores.softmax(-1).to(v.dtype) @ v
        gain = self.slots.get("gain")
        if gain == "inner":
            o = o * self.head_gain[:, None, None]
        o = self.out(self.norm("ctx", o.transpose(1, 2).flatten(-2)))
        if gain == "outer":
            o = (o.unflatten(-1, (self.heads, -1)) * self.head_gain[:, None]).flatten(-2)
        return o


class Experts(nn.Module):
    def __init__(self, c):
        super().__init__()
        E, f, d = c["experts"], c["ffn_width"], c["width"]
        self.up, self.down = Weight(E, f, d), Weight(E, d, f)
        if is_gated(c):
            self.gate = Weight(E, f, d)


class FeedForward(Sublayer):
    def __init__(self, slots, c, stream):
        super().__init__(slots, c, stream)
        d, f, bias = c["width"], c["ffn_width"], has_bias(c, "ffn")
        self.activation, self.gated, self.top = c["activation"], is_gated(c), c.get("experts_per_token", 0)
        self.normalize = c.get("router_normalize", False)
        if c.get("experts"):
            self.router, self.experts = nn.Linear(d, c["experts"], bias=False), Experts(c)
            return
        self.up, self.down = nn.Linear(d, f, bias=bias), nn.Linear(f, d, bias=bias)
        if self.gated:
            self.gate = nn.Linear(d, f, bias=bias)
        if "mid" in slots:
            self.mid_norm = NormLayer(slots["mid"], f, c)
        if stream == "ngpt":
            self.uv_scale = nn.Parameter(torch.ones(2 * f))

    def branch(self, u):
        if self.top:
            return self.mixture(u)
        up, gate = self.up(u), self.gate(u) if self.gated else None
        if self.stream == "ngpt":
            s_up, s_gate = self.uv_scale.chunk(2)
            up, gate = up * s_up, gate * s_gate * u.shape[-1] ** 0.5
        return self.down(self.norm("mid", activate(self.activation, up, gate)))

    def mixture(self, u):
        x = u.flatten(0, -2)
        probability = wide(self.router(x)).softmax(-1)
        weight, chosen = probability.topk(self.top, -1)
        if self.normalize:
            weight = weight / weight.sum(-1, keepdim=True)
        y = torch.zeros_like(x)
        for e in range(probability.shape[-1]):
            row, place = torch.where(chosen == e)
            if len(row):
                up = F.linear(x[row], self.experts.up.weight[e])
                gate = F.linear(x[row], self.experts.gate.weight[e]) if self.gated else None
                h = F.linear(activate(self.activation, up, gate), self.experts.down.weight[e])
                y = y.index_add(0, row, h * weight[row, place, None].to(h.dtype))
        return y.view_as(u)


class Layer(nn.Module):
    def __init__(self, slots, c, placement, index):
        super().__init__()
        self.stream, self.c = placement.stream, placement.c
        self.attn = Attention(slots["attn"], c, placement.stream, index)
        self.ffn = FeedForward(slots["ffn"], c, placement.stream)
        shared = [s["branch"].value for s in slots.values() if "branch" in s and s["branch"].learned == "shared"]
        self.branch_scale = nn.Parameter(torch.tensor(shared[0])) if shared else None

    def forward(self, x, second, masks, table, cache):
        entrance = x if self.stream in ("b2t", "parallel") else None
        x, o = self.attn(x, self.branch_scale, None, masks=masks, table=table, cache=cache)
        if second is not None:
            second = second + self.c * o
        x, o = self.ffn(x, self.branch_scale, entrance)
        if second is not None:
            second = second + self.c * o
        return x, second


# ------------------------------------------------------------------------------------------------ embeddings


class Band(nn.Module):
    """Words [first, last) of an adaptive vocabulary, of their own width."""

    def __init__(self, words, width, d):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(words, width))
        nn.init.normal_(self.weight, std=0.02)
        self.projection = nn.Linear(width, d, bias=False)


class Embed(nn.Module):
    def __init__(self, c, norm):
        super().__init__()
        self.c, d = c, c["width"]
        if "adaptive" in c:
            bounds, factor = [0, *c["adaptive"]["cutoffs"], c["vocab_size"]], c["adaptive"].get("factor", 4)
            self.bounds = list(zip(bounds, bounds[1:]))
            self.bands = nn.ModuleList(Band(b - a, d // factor ** i, d) for i, (a, b) in enumerate(self.bounds))
        else:
            e = c.get("embed_width", d)
            self.tokens = nn.Embedding(c["vocab_size"], e)
            self.projection = nn.Linear(e, d, bias=False) if e != d else None
        if c["positions"] == "learned":
            self.positions = nn.Embedding(c["context"] + c.get("position_offset", 0), d)
        if c.get("token_types"):
            self.types = nn.Embedding(c["token_types"], d)
        if norm:
            self.norm = NormLayer(norm, d, c)

    def words(self, ids):
        if "adaptive" not in self.c:
            return self.tokens(ids)
        x = self.bands[0].projection.weight.new_zeros(*ids.shape, self.c["width"])
        for (first, last), band in zip(self.bounds, self.bands):
            inside = (ids >= first) & (ids < last)
            x = x.masked_scatter(inside[..., None], band.projection(F.embedding(ids[inside] - first, band.weight)))
        return x

    def forward(self, words, positions, types):
        x = words * self.c.get("embed_scale", 1)
        if "adaptive" not in self.c and self.projection is not None:
            x = self.projection(x)
        if self.c["positions"] == "learned":
            x = x + self.positions(positions)
        elif self.c["positions"] == "sinusoidal":
            x = x + sinusoids(positions, self.c["width"]).to(x.dtype)
        if self.c.get("token_types"):
            x = x + self.types(torch.zeros_like(positions) if types is None else types)
        return self.norm(x) if hasattr(self, "norm") else x


class Head(nn.Module):
    """Whatever of the vocabulary's head is not the embedding."""

    def __init__(self, c, stream):
        super().__init__()
        if "adaptive" in c:
            self.clusters = Weight(len(c["adaptive"]["cutoffs"]), c["width"])
        e = c.get("embed_width", c["width"])
        self.projection = nn.Linear(c["width"], e, bias=False) if e != c["width"] else None
        self.weight = None if c.get("tied", True) else Weight(c["vocab_size"], e).weight
        self.bias = nn.Parameter(torch.zeros(c["vocab_size"])) if c["objective"] == "mlm" else None
        self.logit_scale = nn.Parameter(torch.full((c["vocab_size"],), c["width"] ** -0.5)) if stream == "ngpt" else None


class MlmTransform(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dense, self.norm = nn.Linear(c["width"], c["width"]), NormLayer(Norm("ln"), c["width"], c)

    def forward(self, x):
        return self.norm(F.gelu(self.dense(x)))


class Classify(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dense, self.out = nn.Linear(c["width"], c["width"]), nn.Linear(c["width"], c["classes"])

    def forward(self, x):
        return self.out(torch.tanh(self.dense(x[:, 0])))


# --------------------------------------------------------------------------------------------------- models


class NormLabPreTrainedModel(PreTrainedModel):
    config_class = NormLabConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    _no_split_modules = ["Layer"]
    _supports_sdpa = True

    def __init__(self, config):
        super().__init__(config)
        self.normlab = c = config.normlab
        placement = config.placement()
        self.stream, self.gradient_checkpointing = placement.stream, False
        self.second_stream = placement.c if placement.stream == "residual" else None
        self.causal = c["objective"] == "clm"
        self.embed = Embed(c, placement.embed)
        self.layers = nn.ModuleList(Layer(slots, c, placement, i) for i, slots in enumerate(placement.layers))
        self.final_norm = NormLayer(placement.final, c["width"], c) if placement.final else None

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)

    def get_input_embeddings(self):
        if "adaptive" in self.normlab:
            raise NotImplementedError("adaptive input has no one table of embeddings")
        return self.embed.tokens

    def set_input_embeddings(self, value):
        self.embed.tokens = value

    def get_output_embeddings(self):
        return None

    def position_rows(self, ids, position_ids, past, shape, device):
        """Positions that the tables are read at."""
        offset = self.normlab.get("position_offset", 0)
        if position_ids is not None:
            return (position_ids + offset).expand(shape)
        counted = not self.causal and offset > 0 and self.normlab["positions"] == "learned"
        if counted and ids is not None:  # RoBERTa counts the tokens that are not padding
            real = (ids != offset - 1).long()
            return real.cumsum(-1) * real + offset - 1
        return (torch.arange(past, past + shape[1], device=device) + offset).expand(shape)

    def visible(self, attention_mask, past, T, window, device):
        """True where a query [T] sees a key [past + T]; None: everything, or everything up to it."""
        if attention_mask is not None and attention_mask.dim() != 2:
            raise ValueError("attention_mask must be [batch, tokens]: other masks are not supported")
        padded = attention_mask is not None and not bool(attention_mask.bool().all())
        cut = 0 < window < past + T
        if not padded and not cut and (past == 0 or T == 1):
            return None
        back = torch.arange(past, past + T, device=device)[:, None] - torch.arange(past + T, device=device)
        own = back == 0
        mask = torch.ones(T, past + T, dtype=torch.bool, device=device)
        mask = (mask.tril(past) if self.causal else mask)[None]
        if cut:
            mask = mask & (back < window)
        if padded:
            mask = mask & attention_mask.bool()[:, None, -(past + T):]
            blind = ~attention_mask.bool().any(-1) if not self.causal else ~mask.any(-1)
            mask = mask | (own & (blind[..., None] if self.causal else blind[:, None, None]))
        return mask[:, None]

    def run(self, input_ids, attention_mask, position_ids, token_type_ids, inputs_embeds, cache, keep_states):
        """-> (what the head reads, the streams before every layer and behind the last or None)."""
        c = self.normlab
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give input_ids or inputs_embeds")
        words = self.embed.words(input_ids) if inputs_embeds is None else inputs_embeds
        past = cache.get_seq_length() if cache is not None else 0
        B, T = words.shape[:2]
        if 0 < c.get("longest_row", 0) < past + T:
            raise ValueError(f"this model's rows have at most {c['longest_row']} tokens, got {past + T}")
        rows = self.position_rows(input_ids, position_ids, past, (B, T), words.device)
        x = self.embed(words, rows, token_type_ids)
        table = None
        if c["positions"] == "rope":
            at = torch.arange(past, past + T, device=x.device).expand(B, T) if position_ids is None else position_ids.expand(B, T)
            length = int(at.max()) + 1
            table = (rope_table(c, self.config.head_dim, at, length),) * 2
            if rotates_late(c):  # keys stand right before the last query
                keys = at[:, -1:] - torch.arange(past + T - 1, -1, -1, device=x.device)
                table = (table[0], rope_table(c, self.config.head_dim, keys, length))
        masks = {window: self.visible(attention_mask, past, T, window, x.device) for window in {0, c.get("window", 0)}}
        second = x * self.second_stream if self.second_stream is not None else None
        states = [x]
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x, second = self._gradient_checkpointing_func(layer.__call__, x, second, masks, table, None)
            else:
                x, second = layer(x, second, masks, table, cache)
            states.append(x)
        if second is not None:
            x = x + self.final_norm(second)
        elif self.final_norm is not None:
            x = self.final_norm(x)
        states[-1] = x
        return x, tuple(states) if keep_states else None

    def run_encoder(self, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, output_hidden_states):
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return self.run(input_ids, attention_mask, position_ids, token_type_ids, inputs_embeds, None, keep)

    def run_decoder(self, input_ids, attention_mask, position_ids, inputs_embeds, given, use_cache, keep_states):
        """The same with keys and values kept; -> (hidden, states, cache)."""
        use_cache = self.config.use_cache if use_cache is None else use_cache
        checkpointing = self.gradient_checkpointing and self.training
        if use_cache and given is None and not checkpointing:
            given = DynamicCache()
        cache = given if use_cache and not checkpointing else None
        keep = self.config.output_hidden_states if keep_states is None else keep_states
        x, states = self.run(input_ids, attention_mask, position_ids, None, inputs_embeds, cache, keep)
        return x, states, cache

    def vocabulary(self, x):
        """Logits; log-probabilities where the vocabulary is adaptive."""
        c = self.normlab
        if "adaptive" in c:
            bands = self.embed.bands
            first = F.linear(x, torch.cat([bands[0].weight, self.head.clusters.weight]))
            first = wide(first).log_softmax(-1)
            n = bands[0].weight.shape[0]
            parts = [first[..., :n]]
            for i, band in enumerate(list(bands)[1:]):
                tail = F.linear(x @ band.projection.weight, band.weight)
                parts.append(first[..., n + i : n + i + 1] + wide(tail).log_softmax(-1))
            return torch.cat(parts, -1)
        x = x if self.head.projection is None else self.head.projection(x)
        weight = self.embed.tokens.weight if self.head.weight is None else self.head.weight
        logits = F.linear(x, weight)
        if self.head.logit_scale is not None:
            logits = logits * (wide(self.head.logit_scale) * self.normlab["width"] ** 0.5).to(logits.dtype)
        if self.head.bias is not None:
            logits = logits + self.head.bias
        cap = c.get("logit_softcap")
        return cap * torch.tanh(logits / cap) if cap else logits


class NormLabModel(NormLabPreTrainedModel):
    """Without a head."""

    _keys_to_ignore_on_load_unexpected = [r"^head\.", r"^mlm\.", r"^classify\."]

    def __init__(self, config):
        super().__init__(config)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, position_ids=None, inputs_embeds=None,
                output_hidden_states=None, return_dict=None, **kwargs):
        x, states = self.run_encoder(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds,
                                     output_hidden_states)
        return BaseModelOutputWithPast(last_hidden_state=x, hidden_states=states)


class NormLabForCausalLM(NormLabPreTrainedModel, GenerationMixin):
    def __init__(self, config):
        super().__init__(config)
        self.head = Head(config.normlab, self.stream)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, past_key_values=None, cache=None,
                inputs_embeds=None, labels=None, use_cache=None, output_hidden_states=None, logits_to_keep=0,
                return_dict=None, **kwargs):
        given = past_key_values if cache is None else cache
        x, states, cache = self.run_decoder(input_ids, attention_mask, position_ids, inputs_embeds, given, use_cache,
                                            output_hidden_states)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.vocabulary(x[:, kept] if labels is None else x)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(wide(logits[:, :-1]).flatten(0, 1), labels[:, 1:].flatten().to(logits.device))
        return CausalLMOutputWithPast(loss=loss, logits=logits, hidden_states=states, **{CACHE: cache})


class NormLabForMaskedLM(NormLabPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.head, self.mlm = Head(config.normlab, self.stream), MlmTransform(config.normlab)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, position_ids=None, inputs_embeds=None,
                labels=None, output_hidden_states=None, return_dict=None, **kwargs):
        x, states = self.run_encoder(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds,
                                     output_hidden_states)
        logits = self.vocabulary(self.mlm(x))
        loss = None
        if labels is not None:
            loss = F.cross_entropy(wide(logits).flatten(0, 1), labels.flatten().to(logits.device))
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=states)


class NormLabForSequenceClassification(NormLabPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.classify = Classify(config.normlab)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, position_ids=None, inputs_embeds=None,
                labels=None, output_hidden_states=None, return_dict=None, **kwargs):
        x, states = self.run_encoder(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds,
                                     output_hidden_states)
        logits = self.classify(x)
        loss = None
        if labels is not None and self.normlab["classes"] == 1:
            loss = F.mse_loss(wide(logits)[:, 0], labels.flatten().to(logits))
        elif labels is not None:
            loss = F.cross_entropy(wide(logits), labels.flatten().to(logits.device))
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=states)
