#!/usr/bin/env python3
"""Writes dev/parity/fixtures: small inputs and PyTorch's answers, which the Rust engine's tests read.

    dev/setup.sh bench && .venv/bin/python dev/parity/write_fixtures.py

Files (all tensors are float32, token ids int32; parameters carry nanochat's names)
  config.json               the model, the rates of the recorded steps, the token rule, and how far float32 is from float64
  params.safetensors        parameters before training: random and non-zero everywhere, so that no gradient vanishes
  batch.safetensors         tokens, targets (a few are -1: ignored), logits, loss
  gradients.safetensors     the gradient of the loss for every parameter
  params_after_1.safetensors, params_after_3.safetensors   after one and three MuonAdamW steps on that batch
  optimizer_after_1.safetensors   <parameter>.{exp_avg,exp_avg_sq} (AdamW), .{momentum_buffer,second_momentum_buffer} (Muon)
  schedules.json            lr, momentum and weight decay at chosen steps of several horizons; scaling rules by depth
  curve.json                the loss before each of 50 optimizer steps over generated tokens

The tokens of the curve come from a 64-bit linear congruential generator, wrapping:
    state = state * 6364136223846793005 + 1442695040888963407;  draw = state >> 33
with state = seed at the start of the curve. One draw per token. The first token of a row is draw mod V. Every later
one is (draw >> 2) mod V where draw mod 4 == 0, else (7 * previous + 3) mod V: a rule that a model can learn. A batch
is B rows of T + 1 tokens, drawn row after row; inputs are the first T of a row, targets the last T.
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

import reference
from reference import Config, MuonAdamW, Schedule

FIXTURES = Path(__file__).parent / "fixtures"
CONFIG = Config(
    n_layer=4, n_embd=32, n_head=2, n_kv_head=1, vocab_size=100, sequence_len=32, window_pattern="SSSL", window_short=8
)
BATCH = 2
PARAMETER_SEED, BATCH_SEED, CURVE_SEED = 2026, 7, 12345
STEPS = (  # rates of the three recorded optimizer steps
    {"lr_multiplier": 0.05, "momentum": 0.85, "weight_decay": 0.28},
    {"lr_multiplier": 0.10, "momentum": 0.90, "weight_decay": 0.20},
    {"lr_multiplier": 0.10, "momentum": 0.95, "weight_decay": 0.10},
)
CURVE = Schedule(iterations=50, warmup_steps=5)
CURVE_LR_SCALE = 0.125
HORIZONS = (Schedule(50, warmup_steps=5), Schedule(1000), Schedule(2520), Schedule(5568, weight_decay=0.1))


class TokenRule:
    """The generator of the module's head comment."""

    def __init__(self, seed, vocab):
        self.state, self.vocab = seed, vocab

    def draw(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return self.state >> 33

    def row(self, length):
        tokens = [self.draw() % self.vocab]
        while len(tokens) < length:
            draw = self.draw()
            tokens.append((draw >> 2) % self.vocab if draw % 4 == 0 else (7 * tokens[-1] + 3) % self.vocab)
        return tokens

    def batch(self, rows, time):
        t = torch.tensor([self.row(time + 1) for _ in range(rows)])
        return t[:, :-1], t[:, 1:]


def random_parameters():
    """Every value non-zero: matrices uniform at twice a plausible size, scalars away from their initial values."""
    generator = torch.Generator().manual_seed(PARAMETER_SEED)
    weights = {}
    for name, shape in reference.parameter_shapes(CONFIG).items():
        noise = torch.empty(shape).uniform_(-1.0, 1.0, generator=generator)
        if name == "resid_lambdas":
            weights[name] = 1.1 + 0.1 * noise
        elif name in ("x0_lambdas", "smear_lambda", "backout_lambda"):
            weights[name] = 0.3 + 0.1 * noise
        elif name == "transformer.wte.weight":
            weights[name] = 1.4 * noise
        elif name.endswith("_gate.weight"):
            weights[name] = 0.5 * noise
        else:
            weights[name] = noise * (3.0 / shape[1]) ** 0.5
    return weights


def in_type(weights, dtype):
    return {name: w.to(dtype).clone() for name, w in weights.items()}


def fixture_batch():
    tokens, targets = TokenRule(BATCH_SEED, CONFIG.vocab_size).batch(BATCH, CONFIG.sequence_len)
    targets = targets.clone()
    for row, column in ((0, 0), (0, 31), (1, 5), (1, 6)):
        targets[row, column] = reference.IGNORED
    return tokens, targets


def three_steps(weights, tokens, targets):
    """First answers, and snapshots after each step."""
    optimizer, first, snapshots = MuonAdamW(weights, CONFIG), None, []
    for rates in STEPS:
        logits, loss, gradients = reference.loss_and_gradients(weights, tokens, targets, CONFIG)
        first = first or (logits, loss, gradients)
        optimizer.step(gradients, **rates)
        snapshots.append((in_type(weights, loss.dtype), in_type(optimizer.state, loss.dtype)))
    return first, snapshots


def curve(weights):
    optimizer, rule, losses = MuonAdamW(weights, CONFIG), TokenRule(CURVE_SEED, CONFIG.vocab_size), []
    for it in range(CURVE.iterations):
        tokens, targets = rule.batch(BATCH, CONFIG.sequence_len)
        _, loss, gradients = reference.loss_and_gradients(weights, tokens, targets, CONFIG)
        losses.append(loss.item())
        rate = CURVE.lr_multiplier(it) * CURVE_LR_SCALE
        optimizer.step(gradients, rate, CURVE.momentum(it), CURVE.muon_weight_decay(it))
    return losses


def relative(a, b):
    return ((a.double() - b).norm() / b.norm()).item()


def rounding(single, double, single_curve, double_curve):
    """How far float32 is from float64 in this very code: the floor for any tolerance."""
    (logits, loss, gradients), snapshots = single
    (logits64, loss64, gradients64), snapshots64 = double
    largest = lambda a, b: max((a[n].double() - b[n]).abs().max().item() for n in b)
    return {
        "logits_max_abs": (logits.double() - logits64).abs().max().item(),
        "loss_abs": abs(loss.item() - loss64.item()),
        "gradients_max_relative": max(relative(gradients[n], gradients64[n]) for n in gradients64),
        "params_after_1_max_abs": largest(snapshots[0][0], snapshots64[0][0]),
        "params_after_3_max_abs": largest(snapshots[2][0], snapshots64[2][0]),
        "curve_max_abs": max(abs(a - b) for a, b in zip(single_curve, double_curve)),
    }


def schedule_rows(schedule):
    n, start = schedule.iterations, schedule.warmdown_start
    steps = {0, 1, schedule.warmup_steps - 1, schedule.warmup_steps, 200, 399, 400, n // 2, start, start + 1, n - 1}
    return [
        {
            "step": it,
            "lr_multiplier": schedule.lr_multiplier(it),
            "momentum": schedule.momentum(it),
            "weight_decay": schedule.muon_weight_decay(it),
        }
        for it in sorted(steps)
        if it < n
    ]


def depth_row(depth):
    config = reference.config_of_depth(depth)
    total, scaling, _ = reference.count_parameters(config)
    return {
        "depth": depth,
        "n_embd": config.n_embd,
        "n_head": config.n_head,
        "parameters": total,
        "scaling_parameters": scaling,
        "flops_per_token": reference.flops_per_token(config),
        **reference.scaling(config),
    }


def schedules():
    depths = [depth_row(depth) for depth in range(4, 33)]
    # Published totals, in millions: the check that the shapes above are the real model's.
    for depth, total, scaling in ((12, 286.3, 110.1), (20, 896.5, 435.2), (24, 1384.1, 729.8)):
        row = depths[depth - 4]
        assert round(row["parameters"] / 1e6, 1) == total, row
        assert round(row["scaling_parameters"] / 1e6, 1) == scaling, row
    runs = [{**asdict(s), "warmdown_start": s.warmdown_start, "rows": schedule_rows(s)} for s in HORIZONS]
    return {"version": 1, "runs": runs, "target_param_data_ratio": 12, "sequence_len": 2048, "depths": depths}


def write_json(name, value):
    (FIXTURES / name).write_text(json.dumps(value, indent=1) + "\n")


def write_tensors(name, tensors):
    save_file({n: t.contiguous() for n, t in tensors.items()}, FIXTURES / name)


def main():
    torch.set_num_threads(1)  # the order of sums, and so every byte, must not depend on the machine's cores
    FIXTURES.mkdir(exist_ok=True)
    weights, (tokens, targets) = random_parameters(), fixture_batch()
    single = three_steps(in_type(weights, torch.float32), tokens, targets)
    double = three_steps(in_type(weights, torch.float64), tokens, targets)
    losses, losses64 = (curve(in_type(weights, t)) for t in (torch.float32, torch.float64))
    (logits, loss, gradients), snapshots = single

    write_tensors("params.safetensors", weights)
    ids = {"tokens": tokens.int(), "targets": targets.int()}
    write_tensors("batch.safetensors", {**ids, "logits": logits, "loss": loss.reshape(1)})
    write_tensors("gradients.safetensors", gradients)
    write_tensors("params_after_1.safetensors", snapshots[0][0])
    write_tensors("params_after_3.safetensors", snapshots[2][0])
    write_tensors("optimizer_after_1.safetensors", snapshots[0][1])
    config = {
        **asdict(CONFIG),
        "head_dim": CONFIG.head_dim,
        "padded_vocab_size": CONFIG.padded_vocab_size,
        "value_embedding_layers": [i for i in range(CONFIG.n_layer) if CONFIG.has_value_embedding(i)],
        "windows": [CONFIG.window(i) for i in range(CONFIG.n_layer)],
    }
    floor = rounding(single, double, losses, losses64)
    write_json(
        "config.json",
        {"version": 1, "config": config, "batch": BATCH, "loss": loss.item(), "steps": STEPS, "float32_from_float64": floor},
    )
    write_json("schedules.json", schedules())
    write_json(
        "curve.json",
        {
            "version": 1,
            "seed": CURVE_SEED,
            "batch": BATCH,
            "lr_scale": CURVE_LR_SCALE,
            "schedule": asdict(CURVE),
            "losses": losses,
        },
    )
    print(json.dumps({"torch": torch.__version__, "loss": loss.item(), "curve": [losses[0], losses[-1]], **floor}))


if __name__ == "__main__":
    main()
