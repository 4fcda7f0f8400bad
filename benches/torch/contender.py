"""PyTorch's side of the race: contender.py best|default MODEL BATCH THREADS

Takes a first step, says `ready`, then answers each line of stdin with one line:
`turn S` trains for S seconds: the median of a step in seconds; `losses N` trains anew for N steps: their losses.
benches/train/contender.rs is our side.
"""

import statistics
import sys
from time import perf_counter

import torch
from torch.nn.functional import cross_entropy

import formula
from models import MODELS

IMAGES = 512


class Training:
    def __init__(self, best, model, batch):
        self.model = MODELS[model](inplace=best)
        formula.set_parameters(self.model)
        images, self.labels = formula.images(0, IMAGES)
        # PyTorch's best eager setting; the race adds malloc's. Its defaults otherwise.
        memory_format = torch.channels_last if best else torch.contiguous_format
        self.model = self.model.to(memory_format=memory_format)
        self.images = images.contiguous(memory_format=memory_format)
        fused = {"fused": True} if best else {}
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9, **fused)
        self.batch, self.next = batch, 0

    def step(self):
        images = slice(self.next, self.next + self.batch)
        self.next = (self.next + self.batch) % IMAGES
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(self.images[images]), self.labels[images])
        loss.backward()
        self.optimizer.step()
        return loss


def turn(training, seconds):
    began = now = perf_counter()
    steps = []
    while now - began < seconds:
        before = now
        training.step()
        now = perf_counter()
        steps.append(now - before)
    return statistics.median(steps)


def main():
    setting, model, batch, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    start = lambda: Training(setting == "best", model, int(batch))
    training = start()
    training.step()
    print("ready", flush=True)
    for line in sys.stdin:
        what, amount = line.split()
        if what == "turn":
            print(turn(training, float(amount)), flush=True)
        else:
            anew = start()
            print(*(anew.step().item() for _ in range(int(amount))), flush=True)


main()
