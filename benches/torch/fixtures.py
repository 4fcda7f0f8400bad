"""Makes tests/fixtures/gradients/*.safetensors for tests/gradients.rs: fixtures.py FOLDER

One file for each model: PyTorch's gradient of one batch, parameters and images out of formula.py. For every parameter
NAME it has the tensors `NAME.f32` and `NAME.f64`, both precisions of the gradient at each `NAME.stride`-th place (a
thousand values at most, and a stride that walks through every dimension). Strides are in the metadata, with
`NAME.largest`, the largest magnitude of the whole f32 gradient, `images`, `first` (number of the batch's first image),
and `loss` (in f64).
"""

import json
import math
import struct
import sys
from itertools import count
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.overrides import TorchFunctionMode

import formula
from models import MODELS

IMAGES = 16
VALUES_MAX = 1000
# At a kink (a ReLU near 0, a window with two largest values) rounding decides which way a gradient goes. Batches come
# so far from one, relative to the largest activation, that no rounding of f32 does.
MARGIN = 5e-7


class Kinks(TorchFunctionMode):
    """Sees how near to a kink a pass comes."""

    nearest = math.inf

    def __torch_function__(self, function, types, args=(), kwargs=None):
        x = args[0] if args else None
        if function.__name__ == "relu":
            self.see(x.abs(), x)
        elif function.__name__ == "max_pool2d":
            windows = x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
            top = windows.topk(2).values
            # Where the largest is 0, the ReLU before stops the gradient anyway.
            self.see((top[..., 0] - top[..., 1])[top[..., 0] > 0], x)
        return function(*args, **(kwargs or {}))

    def see(self, distances, x):
        self.nearest = min(self.nearest, (distances.min() / x.abs().max()).item())


def gradients(name, dtype, images, labels):
    """The loss, the gradient of each parameter, and how near to a kink."""
    model = MODELS[name]()
    formula.set_parameters(model)
    model.to(dtype)
    with Kinks() as kinks:
        loss = cross_entropy(model(images.to(dtype)), labels)
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters()}, kinks.nearest


def stride(values):
    """Shares no factor with the number of values."""
    return next(s for s in count(-(-values // VALUES_MAX)) if math.gcd(s, values) == 1)


def save(path, tensors, metadata):
    """The safetensors format: the length of the header, the header, the values."""
    header, data = {"__metadata__": {key: str(value) for key, value in metadata.items()}}, b""
    for name, tensor in sorted(tensors.items()):
        values = tensor.contiguous().numpy().tobytes()
        dtype = {torch.float32: "F32", torch.float64: "F64"}[tensor.dtype]
        place = [len(data), len(data) + len(values)]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": place}
        data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def fixture(name, folder):
    for first in count(0, IMAGES):
        images, labels = formula.images(first, IMAGES)
        loss, exact, nearest = gradients(name, torch.float64, images, labels)
        if nearest >= MARGIN:
            break
    _, rounded, _ = gradients(name, torch.float32, images, labels)
    tensors, metadata = {}, {"images": IMAGES, "first": first, "loss": loss}
    for parameter, gradient in rounded.items():
        step = stride(gradient.numel())
        tensors[f"{parameter}.f32"] = gradient.flatten()[::step]
        tensors[f"{parameter}.f64"] = exact[parameter].flatten()[::step]
        metadata[f"{parameter}.stride"] = step
        metadata[f"{parameter}.largest"] = gradient.abs().max().item()
    save(folder / f"{name}.safetensors", tensors, metadata)
    print(f"{name}: images from {first} on, nearest to a kink {nearest:.1e}")


torch.set_num_threads(1)
for model in MODELS:
    fixture(model, Path(sys.argv[1]))
