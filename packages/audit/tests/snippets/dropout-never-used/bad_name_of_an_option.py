import argparse

from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--dropout", type=float, default=0.1)


class Head(nn.Module):
    def __init__(self, config):
        super().__init__()
        rate = config["dropout"]
        self.fc = nn.Linear(64, 10)
        self.dropout = nn.Dropout(rate)  #! dropout-never-used advice

    def forward(self, x):
        return self.fc(x)
