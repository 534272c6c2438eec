"""The nanochat model of July 2026, its optimizer and its schedules in plain PyTorch.

Purpose: the yardstick that the Rust engine is compared with. Everything is written for reading, nothing for
speed: attention materialises its scores, the loss materialises its logits, the optimizer walks tensor by tensor.
It runs in whatever type the parameters have, so the same code in float64 tells how much of a difference is rounding.

Not covered: several devices, low precision, a KV cache, gradient accumulation.

Legend: B batch, T time, C model dim, H query heads, K key/value heads, D head dim, V vocabulary, P padded vocabulary.
Sources: Polar Express (arXiv 2505.16932) for the sign iteration, NorMuon (arXiv 2510.05491) for the variance
reduction, cautious weight decay (arXiv 2510.12402), decoupled decay (arXiv 1711.05101).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

GATE_CHANNELS = 12
SMEAR_CHANNELS = 24
SOFTCAP = 15.0
ROPE_BASE = 100_000.0
QK_GAIN = 1.2
IGNORED = -1


@dataclass(frozen=True)
class Config:
    """The shape of a model; `window_short` counts the keys to the left that an S layer sees besides its own."""

    n_layer: int
    n_embd: int
    n_head: int
    n_kv_head: int
    vocab_size: int
    sequence_len: int
    window_pattern: str
    window_short: int

    @property
    def head_dim(self):
        return self.n_embd // self.n_head

    @property
    def padded_vocab_size(self):
        return -(-self.vocab_size // 64) * 64

    def has_value_embedding(self, layer):
        return layer % 2 == (self.n_layer - 1) % 2

    def window(self, layer):
        """How many keys before its own a query of `layer` may see."""
        kind = self.window_pattern[layer % len(self.window_pattern)]
        last = layer == self.n_layer - 1
        return self.sequence_len if last or kind == "L" else self.window_short


def config_of_depth(depth, vocab_size=32_768, sequence_len=2048):
    """The one dial: depth sets the width (64 per layer, rounded up to whole heads of 128)."""
    heads = -(-depth * 64 // 128)
    short = 128 * math.ceil(sequence_len / 4 / 128)
    return Config(depth, heads * 128, heads, heads, vocab_size, sequence_len, "SSSL", short)


def parameter_shapes(config):
    """Every parameter with its shape, in the order in which files list them."""
    c, d, k, p = config.n_embd, config.head_dim, config.n_kv_head, config.padded_vocab_size
    shapes = {"transformer.wte.weight": (p, c)}
    for i in range(config.n_layer):
        block = f"transformer.h.{i}"
        shapes[f"{block}.attn.c_q.weight"] = (config.n_head * d, c)
        shapes[f"{block}.attn.c_k.weight"] = (k * d, c)
        shapes[f"{block}.attn.c_v.weight"] = (k * d, c)
        shapes[f"{block}.attn.c_proj.weight"] = (c, config.n_head * d)
        if config.has_value_embedding(i):
            shapes[f"{block}.attn.ve_gate.weight"] = (k, GATE_CHANNELS)
        shapes[f"{block}.mlp.c_fc.weight"] = (4 * c, c)
        shapes[f"{block}.mlp.c_proj.weight"] = (c, 4 * c)
    for i in range(config.n_layer):
        if config.has_value_embedding(i):
            shapes[f"value_embeds.{i}.weight"] = (p, k * d)
    shapes["lm_head.weight"] = (p, c)
    shapes["resid_lambdas"] = (config.n_layer,)
    shapes["x0_lambdas"] = (config.n_layer,)
    shapes["smear_gate.weight"] = (1, SMEAR_CHANNELS)
    shapes["smear_lambda"] = (1,)
    shapes["backout_lambda"] = (1,)
    return shapes


def count_parameters(config):
    """(all, those the scaling rules count: the blocks' matrices and lm_head, those in linear maps)."""
    sizes = {name: math.prod(shape) for name, shape in parameter_shapes(config).items()}
    scaling = sum(n for name, n in sizes.items() if name.startswith(("transformer.h.", "lm_head.")))
    return sum(sizes.values()), scaling, scaling + sizes["smear_gate.weight"]


def flops_per_token(config):
    """Forward and backward: 6 per weight of a linear map, 12·C per visible key and layer (causality not halved)."""
    keys = sum(min(config.window(i), config.sequence_len) for i in range(config.n_layer))
    return 6 * count_parameters(config)[2] + 12 * config.n_embd * keys


def initial_value(name, shape, config, generator):
    """What training starts from: zero output projections, so that every block begins as the identity."""
    n, bound = config.n_layer, math.sqrt(3.0 / config.n_embd)
    ramp = torch.arange(n) / max(n - 1, 1)
    uniform = lambda low, high: torch.empty(shape).uniform_(low, high, generator=generator)
    normal = lambda deviation: torch.empty(shape).normal_(0.0, deviation, generator=generator)
    if name == "transformer.wte.weight":
        return normal(0.8)
    if name == "lm_head.weight":
        return normal(0.001)
    if name.endswith(("ve_gate.weight", "smear_gate.weight")):
        return uniform(0.0, 0.02)
    if name == "resid_lambdas":
        return 1.15 - 0.10 * ramp
    if name == "x0_lambdas":
        return 0.20 - 0.15 * ramp
    if name == "backout_lambda":
        return torch.full(shape, 0.2)
    if name == "smear_lambda" or name.endswith("c_proj.weight"):
        return torch.zeros(shape)
    if name.endswith("c_fc.weight"):
        return uniform(-0.4 * bound, 0.4 * bound)
    return uniform(-bound, bound)


# --- the model -------------------------------------------------------------------------------------------------


def rms_norm(x):
    """x over its root mean square in the last dim; no weight, eps is the type's machine epsilon as in F.rms_norm."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps)


def rotate(x_bthd):
    """Rotary positions with split halves, turning by −θ."""
    _, time, _, d = x_bthd.shape
    frequency = ROPE_BASE ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = torch.outer(torch.arange(time, dtype=torch.float64), frequency)
    cos, sin = (f(angle)[None, :, None, :].to(x_bthd.dtype) for f in (torch.cos, torch.sin))
    left, right = x_bthd[..., : d // 2], x_bthd[..., d // 2 :]
    return torch.cat((left * cos + right * sin, right * cos - left * sin), dim=-1)


def visible(time, window):
    """[query, key]: causal, and at most `window` keys back."""
    back = torch.arange(time)[:, None] - torch.arange(time)[None, :]
    return (back >= 0) & (back <= window)


def attention(x_btc, tokens_bt, layer, weights, config):
    B, T, _ = x_btc.shape
    H, K, D = config.n_head, config.n_kv_head, config.head_dim
    name = f"transformer.h.{layer}.attn"
    q_bthd = (x_btc @ weights[f"{name}.c_q.weight"].T).view(B, T, H, D)
    k_btkd = (x_btc @ weights[f"{name}.c_k.weight"].T).view(B, T, K, D)
    v_btkd = (x_btc @ weights[f"{name}.c_v.weight"].T).view(B, T, K, D)
    if config.has_value_embedding(layer):
        table = weights[f"value_embeds.{layer}.weight"]
        strength = 3.0 * torch.sigmoid(x_btc[..., :GATE_CHANNELS] @ weights[f"{name}.ve_gate.weight"].T)
        v_btkd = v_btkd + strength[..., None] * table[tokens_bt].view(B, T, K, D)
    q_bthd = QK_GAIN * rms_norm(rotate(q_bthd))
    k_btkd = QK_GAIN * rms_norm(rotate(k_btkd))
    # Query head h reads key/value head h // (H/K).
    k_bthd, v_bthd = (t.repeat_interleave(H // K, dim=2) for t in (k_btkd, v_btkd))
    scores = torch.einsum("bqhd,bkhd->bhqk", q_bthd, k_bthd) / math.sqrt(D)
    scores = scores.masked_fill(~visible(T, config.window(layer)), -math.inf)
    y_bthd = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v_bthd)
    return y_bthd.reshape(B, T, H * D) @ weights[f"{name}.c_proj.weight"].T


def mlp(x_btc, layer, weights):
    name = f"transformer.h.{layer}.mlp"
    return F.relu(x_btc @ weights[f"{name}.c_fc.weight"].T).square() @ weights[f"{name}.c_proj.weight"].T


def smear(x_btc, weights):
    """Every position but the first takes a gated share of the embedding before it."""
    gate = torch.sigmoid(x_btc[:, 1:, :SMEAR_CHANNELS] @ weights["smear_gate.weight"].T)
    mixed = x_btc[:, 1:] + weights["smear_lambda"] * gate * x_btc[:, :-1]
    return torch.cat((x_btc[:, :1], mixed), dim=1)


def forward(weights, tokens_bt, config):
    """Softcapped logits over the real vocabulary, B×T×V."""
    x = smear(rms_norm(weights["transformer.wte.weight"][tokens_bt]), weights)
    x0, middle = x, None
    for layer in range(config.n_layer):
        x = weights["resid_lambdas"][layer] * x + weights["x0_lambdas"][layer] * x0
        x = x + attention(rms_norm(x), tokens_bt, layer, weights, config)
        x = x + mlp(rms_norm(x), layer, weights)
        if layer == config.n_layer // 2:
            middle = x
    x = rms_norm(x - weights["backout_lambda"] * middle)
    logits = (x @ weights["lm_head.weight"].T)[..., : config.vocab_size]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return SOFTCAP * torch.tanh(logits / SOFTCAP)


def mean_cross_entropy(logits, targets_bt):
    return F.cross_entropy(logits.flatten(0, 1), targets_bt.flatten(), ignore_index=IGNORED)


def loss_and_gradients(weights, tokens_bt, targets_bt, config):
    leaves = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    logits = forward(leaves, tokens_bt, config)
    loss = mean_cross_entropy(logits, targets_bt)
    loss.backward()
    return logits.detach(), loss.detach(), {name: w.grad for name, w in leaves.items()}


# --- the optimizer ---------------------------------------------------------------------------------------------

POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
NORMUON_BETA = 0.9
ADAM_EPS = 1e-10
MATRIX_LR = 0.02
SCALAR_LR = 0.5


@dataclass(frozen=True)
class AdamGroup:
    lr: float
    betas: tuple
    weight_decay: float


def group_of(name, config):
    """The AdamW group of a parameter, or None where Muon owns it (every matrix of the blocks, gates included)."""
    s = (config.n_embd / 768) ** -0.5
    if name.startswith("transformer.h."):
        return None
    if name == "lm_head.weight":
        return AdamGroup(0.008 * s, (0.8, 0.96), 0.01)
    if name == "transformer.wte.weight":
        return AdamGroup(0.3 * s, (0.8, 0.995), 0.001)
    if name.startswith("value_embeds."):
        return AdamGroup(0.15 * s, (0.8, 0.995), 0.01)
    if name == "resid_lambdas":
        return AdamGroup(SCALAR_LR / 100, (0.8, 0.95), 0.05)
    if name == "x0_lambdas":
        return AdamGroup(SCALAR_LR, (0.96, 0.95), 0.0)
    return AdamGroup(0.2, (0.8, 0.95), 0.0)  # smear and backout


class MuonAdamW:
    """One object for all groups. `weights` are updated in place; `state` is keyed `<parameter>.<buffer>`."""

    def __init__(self, weights, config):
        self.weights, self.config, self.state, self.steps = weights, config, {}, 0

    @torch.no_grad()
    def step(self, gradients, lr_multiplier, momentum, weight_decay):
        """`lr_multiplier` scales every group; `momentum` and `weight_decay` are Muon's alone."""
        self.steps += 1
        for name, weight in self.weights.items():
            group = group_of(name, self.config)
            if group is None:
                self.muon(name, weight, gradients[name], MATRIX_LR * lr_multiplier, momentum, weight_decay)
            else:
                self.adamw(name, weight, gradients[name], group, group.lr * lr_multiplier)

    def buffer(self, name, shape_of):
        return self.state.setdefault(name, torch.zeros_like(shape_of))

    def adamw(self, name, weight, gradient, group, lr):
        first = self.buffer(f"{name}.exp_avg", weight)
        second = self.buffer(f"{name}.exp_avg_sq", weight)
        beta1, beta2 = group.betas
        weight.mul_(1 - lr * group.weight_decay)
        first.lerp_(gradient, 1 - beta1)
        second.lerp_(gradient.square(), 1 - beta2)
        unbiased_first = first / (1 - beta1**self.steps)
        unbiased_second = second / (1 - beta2**self.steps)
        weight.sub_(lr * unbiased_first / (unbiased_second.sqrt() + ADAM_EPS))

    def muon(self, name, weight, gradient, lr, momentum, weight_decay):
        rows, cols = weight.shape
        buffer = self.buffer(f"{name}.momentum_buffer", weight)
        buffer.lerp_(gradient, 1 - momentum)
        update = gradient.lerp(buffer, momentum)  # Nesterov
        update = update / update.norm(dim=1, keepdim=True).clamp_min(1e-7)  # MuonEq: rows of equal weight
        update = polar_factor(update)
        update = update * (math.sqrt(min(rows, cols)) / update.norm().clamp_min(1e-10))  # Muon+: the norm of a true polar factor
        update = self.equalize_variance(name, update)
        lr = lr * math.sqrt(max(1.0, rows / cols))
        decayed = weight * (update * weight >= 0)  # cautious: decay only where it agrees with the update
        weight.sub_(lr * update + lr * weight_decay * decayed)

    def equalize_variance(self, name, update):
        """NorMuon: divide rows (tall) or columns (wide) by their running RMS, then restore the Frobenius norm."""
        dim = 1 if update.shape[0] >= update.shape[1] else 0
        mean_square = update.square().mean(dim, keepdim=True)
        second = self.buffer(f"{name}.second_momentum_buffer", mean_square)
        second.lerp_(mean_square, 1 - NORMUON_BETA)
        scaled = update * second.clamp_min(1e-10).rsqrt()
        return scaled * (update.norm() / scaled.norm().clamp_min(1e-10))


def polar_factor(x):
    """The nearest semi-orthogonal matrix, by five quintic steps whose products stay on the short side."""
    x = x / (x.norm() * 1.01 + 1e-6)
    tall = x.shape[0] > x.shape[1]
    for a, b, c in POLAR_EXPRESS:
        gram = x.T @ x if tall else x @ x.T
        polynomial = b * gram + c * (gram @ gram)
        x = a * x + (x @ polynomial if tall else polynomial @ x)
    return x


# --- schedules -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Schedule:
    """Rates at step `it`, counted from 0, of a run of `iterations` steps. `round` is to even, as Python's."""

    iterations: int
    warmup_steps: int = 40
    warmdown_ratio: float = 0.65
    final_lr_frac: float = 0.05
    weight_decay: float = 0.28

    @property
    def warmdown_steps(self):
        return round(self.warmdown_ratio * self.iterations)

    @property
    def warmdown_start(self):
        return self.iterations - self.warmdown_steps

    def lr_multiplier(self, it):
        if it < self.warmup_steps:
            return (it + 1) / self.warmup_steps
        if it <= self.warmdown_start:
            return 1.0
        left = (self.iterations - it) / self.warmdown_steps
        return left + (1 - left) * self.final_lr_frac

    def momentum(self, it):
        if it < 400:
            return 0.85 * (1 - it / 400) + 0.97 * (it / 400)
        if it < self.warmdown_start:
            return 0.97
        done = (it - self.warmdown_start) / self.warmdown_steps
        return 0.97 * (1 - done) + 0.90 * done

    def muon_weight_decay(self, it):
        return self.weight_decay * 0.5 * (1 + math.cos(math.pi * it / self.iterations))


def scaling(config, ratio=12):
    """Horizon, batch, learning-rate scale and decay that the depth implies; depth 12 at 2^19 tokens is the anchor."""
    reference_tokens = ratio * count_parameters(config_of_depth(12))[1]
    tokens = int(ratio * count_parameters(config)[1])
    batch = 2 ** round(math.log2(2**19 * (tokens / reference_tokens) ** 0.383))
    return {
        "target_tokens": tokens,
        "total_batch_size": batch,
        "iterations": tokens // batch,
        "lr_scale": math.sqrt(batch / 2**19),
        "weight_decay": 0.28 * math.sqrt(batch / 2**19) * (reference_tokens / tokens),
    }
