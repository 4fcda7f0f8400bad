"""Images and parameters out of a formula: formula.rs makes the same bits, so that neither side stores any."""

import numpy as np
import torch

SHAPE = (1, 28, 28)
CLASSES = 10
PARAMETERS = 1 << 30
BIAS = np.float32(0.1)


def unit(index):
    """Numbers of the stream, in [0, 1): 24 bits of a hash (the last steps of MurmurHash3)."""
    x = index.astype(np.uint32)
    x = (x ^ x >> np.uint32(16)) * np.uint32(0x85EBCA6B)
    x = (x ^ x >> np.uint32(13)) * np.uint32(0xC2B2AE35)
    return ((x ^ x >> np.uint32(16)) >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


def images(first, count):
    """`count` images from number `first` on, and their labels: noise, with rows of 1 more where the label says."""
    channels, height, width = SHAPE
    label = np.arange(first, first + count) % CLASSES
    at = np.arange(first * channels * height * width, (first + count) * channels * height * width)
    noise = np.float32(0.5) * unit(at).reshape(count, *SHAPE)
    bright = np.arange(height) * CLASSES // height == label[:, None]
    pixels = noise + bright[:, None, :, None].astype(np.float32)
    return torch.from_numpy(pixels), torch.from_numpy(label)


def set_parameters(model):
    """Gives a model the formula's parameters; their numbers run through the tensors in the order of their names."""
    at = PARAMETERS
    with torch.no_grad():
        for _, tensor in sorted(model.named_parameters()):
            fan_in = tensor[0].numel()
            bound = BIAS if tensor.dim() == 1 else np.float32(1 / np.sqrt(np.float64(fan_in)))
            values = (np.float32(2) * unit(np.arange(at, at + tensor.numel())) - np.float32(1)) * bound
            tensor.copy_(torch.from_numpy(values).reshape(tensor.shape))
            at += tensor.numel()
