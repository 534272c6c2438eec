#!/bin/sh
# verify-gpu: what of driver, compiler, PyTorch and JAX sees a GPU; fails where one that is there does not.
. "$(dirname "$0")/environment.sh"
activate
bad=0
tell() { printf '%-8s %s\n' "$1" "$2"; }
if gpus=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1); then
    tell driver "$gpus"
else
    tell driver "no GPU: $gpus"
    bad=1
fi
if command -v nvcc >/dev/null; then
    tell nvcc "$(nvcc --version | tail -1)"
else
    tell nvcc "not installed"
fi
python=$(command -v python3 || command -v python || echo false)
if "$python" -c 'import torch' 2>/dev/null; then
    "$python" -c 'import sys, torch; ok = torch.cuda.is_available(); print("torch   ", torch.__version__, "CUDA", torch.version.cuda, torch.cuda.device_count(), "GPUs"); sys.exit(not ok)' || bad=1
else
    tell torch "not installed"
fi
if "$python" -c 'import jax' 2>/dev/null; then
    "$python" -c 'import sys, jax; gpus = [d for d in jax.devices() if d.platform == "gpu"]; print("jax     ", jax.__version__, len(gpus), "GPUs"); sys.exit(not gpus)' || bad=1
else
    tell jax "not installed"
fi
exit $bad
