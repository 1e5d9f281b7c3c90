import argparse

from torch import nn

p = argparse.ArgumentParser()
p.add_argument("--dropout", type=float, default=0.5, help="the dropout rate")
args = p.parse_args()


class A(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.dropout = nn.Dropout(dropout)  #! dropout-never-used advice

    def forward(self, x):
        return self.fc(x)


model = A(dropout=args.dropout)
print("dropout", args.dropout)
