"""Small modules for the tests of nbhelpers.train, which run in the environment `th`."""

import pytest
import torch
from torch import nn


class Small(nn.Module):
    """A module with two outputs, batch normalisation and dropout, which eval mode changes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 5)

    def forward(self, images):
        x = torch.relu(self.bn(self.conv(images)))
        return self.fc(self.drop(x.mean((2, 3)))), x.mean(1)


@pytest.fixture
def small():
    torch.manual_seed(0)
    module = Small()
    with torch.no_grad():
        module.bn.running_mean.uniform_(-1, 1)
        module.bn.running_var.uniform_(0.5, 2)
    return module.eval()
