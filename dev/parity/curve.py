"""Losses of the reference on given tokens from given weights, beside those of the engine on the same.

`python3 curve.py --tokens tokens.i32 --weights start.safetensors --ours curve.json --limit 0.01`: weights and optimizer
are binary32, products, the residual stream and Muon's polar factor bf16, as nanochat trains, on the GPU where there is one. Prints the largest
relative difference of any step and exits with 1 where it is over the limit. The rates are those of the engine's example
`curve`.

The residual stream matters: blocks begin at zero, and what they add is lost in bf16 while it is below half a unit in the
last place. With a stream in binary32 (--stream float32) the same model learns sooner, by 0.1% of the loss at step 16 and 5%
at step 30.
"""

import argparse
import json
import struct
import sys

import torch

import reference

TYPES = {"F32": torch.float32}


def read_safetensors(path):
    """Names to tensors; the format is a length, a JSON header, and bytes."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(length)), bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            flat = torch.frombuffer(data, dtype=TYPES[entry["dtype"]], count=(end - begin) // 4, offset=begin)
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def multiplier(step, steps, tokens):
    rise, left = (step + 1) / 40, (steps - step) / (steps / 2)
    return (tokens / 2**19) ** 0.5 * min(rise, 1.0) * min(max(left, 0.1), 1.0)


# What enters the residual stream, or multiplies all of it as a vector: these decide its type.
STREAMED = ("transformer.wte", "value_embeds", "smear_lambda", "backout_lambda")


RMS_NORM, ROTATE, POLAR_FACTOR = reference.rms_norm, reference.rotate, reference.polar_factor


def round_as_nanochat(fused):
    """Norms and rotations compute in binary32 and round their result, as fused kernels do, or round after every operation, as
    PyTorch does that is not compiled; polar factors are bf16."""
    reference.polar_factor = lambda x: POLAR_FACTOR(x.bfloat16()).float()
    reference.rms_norm = (lambda x: RMS_NORM(x.float()).to(x.dtype)) if fused else RMS_NORM
    reference.rotate = (lambda x: ROTATE(x.float()).to(x.dtype)) if fused else ROTATE


def losses(arguments, device, fused=True):
    config = reference.config_of_depth(arguments.depth, arguments.vocab, arguments.seq)
    config = reference.Config(**{**config.__dict__, "window_pattern": arguments.pattern})
    weights = {name: w.to(device) for name, w in read_safetensors(arguments.weights).items()}
    optimizer = reference.MuonAdamW(weights, config)
    with open(arguments.tokens, "rb") as file:
        tokens = torch.frombuffer(bytearray(file.read()), dtype=torch.int32).to(device).long()
    rows = tokens[: tokens.numel() // (arguments.seq + 1) * (arguments.seq + 1)].reshape(-1, arguments.seq + 1)
    rows = rows.roll(-arguments.warm * arguments.batch, 0)
    torch.set_default_device(device)
    stream = {"float32": torch.float32, "bfloat16": torch.bfloat16}[arguments.stream]
    round_as_nanochat(fused)
    found = []
    for step in range(arguments.steps):
        pick = torch.arange(step * arguments.batch, (step + 1) * arguments.batch) % rows.shape[0]
        batch = rows[pick]
        leaves = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
        with torch.autocast(device.type, dtype=torch.bfloat16):
            streamed = {name: w.to(stream) if name.startswith(STREAMED) else w for name, w in leaves.items()}
            logits = reference.forward(streamed, batch[:, :-1], config)
            loss = reference.mean_cross_entropy(logits, batch[:, 1:])
        loss.backward()
        gradients = {name: w.grad for name, w in leaves.items()}
        optimizer.step(gradients, multiplier(step, arguments.steps, arguments.batch * arguments.seq), 0.9, 0.02)
        found.append(loss.item())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--ours", nargs="+", required=True, help="curves of the engine, each with ...")
    parser.add_argument("--limit", nargs="+", type=float, required=True, help="... the difference it may have")
    parser.add_argument("--out", help="where the reference's curve is written")
    parser.add_argument("--pattern", default="SSSL")
    parser.add_argument("--scalar-rate", type=float, default=0.5, help="of the scalars of x0; those of the residual take a hundredth")
    parser.add_argument("--stream", choices=("bfloat16", "float32"), default="bfloat16", help="type of the residual stream")
    parser.add_argument("--itself", action="store_true", help="also the reference beside itself, rounded in other places")
    for name, default in (("depth", 8), ("batch", 8), ("seq", 512), ("vocab", 32768), ("steps", 200), ("warm", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")
    reference.SCALAR_LR = arguments.scalar_rate
    theirs = losses(arguments, device)
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(theirs, file)
    if arguments.itself:
        again = losses(arguments, device, fused=False)
        worst = max((abs(a - b) / b, step + 1) for step, (a, b) in enumerate(zip(again, theirs, strict=True)))
        print(f"the reference that rounds after every operation: worst difference {100 * worst[0]:.3f}% at step {worst[1]}")
    failed = False
    for path, limit in zip(arguments.ours, arguments.limit, strict=True):
        with open(path, encoding="utf-8") as file:
            ours = json.load(file)
        differences = [abs(a - b) / b for a, b in zip(ours, theirs, strict=True)]
        worst = max(differences)
        at = differences.index(worst)
        failed |= not worst <= limit
        print(f"{path}: {len(ours)} steps, last loss {ours[-1]:.4f} beside {theirs[-1]:.4f}; worst difference "
              f"{100 * worst:.3f}% at step {at + 1}, at most {100 * limit:g}% allowed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
