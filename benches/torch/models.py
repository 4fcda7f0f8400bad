"""The models of models/*.toml in PyTorch, parameter names included."""

from torch import nn
from torch.nn.functional import max_pool2d, relu


class Fc(nn.Module):
    def __init__(self, **_):
        super().__init__()
        self.linear = nn.Linear(784, 10)

    def forward(self, x):
        return self.linear(x.flatten(1))


class Unit(nn.Module):
    def __init__(self, inplace):
        super().__init__()
        self.inplace = inplace
        self.conv1 = nn.Conv2d(32, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(relu(self.conv1(x), self.inplace))


class Resnet8(nn.Module):
    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.unit1 = Unit(inplace)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.fc1 = nn.Linear(1024, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = relu(self.conv1(x), self.inplace)
        x = max_pool2d(relu(self.unit1(x), self.inplace), 2)
        x = relu(self.conv2(x), self.inplace)
        x = max_pool2d(relu(self.conv3(x), self.inplace), 2)
        return self.fc2(relu(self.fc1(x.flatten(1)), self.inplace))


MODELS = {"fc": Fc, "resnet8": Resnet8}
