import torch
from base import Classifier


class Convolutions(Classifier):
    def __init__(self, dataset, config):
        super().__init__(dataset, config)
        self.conv = torch.nn.Conv1d(config.size, 64, 3)
        self.hidden = torch.nn.Linear(64, config.hidden_size)
        self.linear = torch.nn.Linear(config.hidden_size, len(dataset.label_map))

    def forward(self, x):
        x = self.conv(x).amax(2)
        return self.linear(self.dropout(self.hidden(x)))
