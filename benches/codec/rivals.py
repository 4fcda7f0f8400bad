"""GB/s (bytes of f32, one thread) at which NumPy and PyTorch convert 4 MB to 16-bit floats and back.

Prints a line for each: library, codec, step, rate. Says nothing of a library that is not there.
"""

import math
import time

VALUES = 1 << 20
TURNS = 25


def rate(job):
    times = []
    for _ in range(TURNS + 1):
        began = time.perf_counter()
        job()
        times.append(time.perf_counter() - began)
    return 4 * VALUES / sorted(times[1:])[TURNS // 2] / 1e9


def numpy_rates():
    import numpy

    values = numpy.sin(numpy.arange(VALUES, dtype=numpy.float32) * 37)
    halves = values.astype(numpy.float16)
    yield "numpy fp16 encode", rate(lambda: values.astype(numpy.float16))
    yield "numpy fp16 decode", rate(lambda: halves.astype(numpy.float32))


def torch_rates():
    import torch

    torch.set_num_threads(1)
    values = torch.sin(torch.arange(VALUES, dtype=torch.float32) * 37)
    for name, kind in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
        halves = values.to(kind)
        yield f"torch {name} encode", rate(lambda: values.to(kind))
        yield f"torch {name} decode", rate(lambda: halves.to(torch.float32))


for library in (numpy_rates, torch_rates):
    try:
        for name, found in library():
            if math.isfinite(found):
                print(name, found)
    except ImportError:
        pass
