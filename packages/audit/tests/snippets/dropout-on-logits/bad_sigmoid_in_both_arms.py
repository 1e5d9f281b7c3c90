from torch import nn


class Scorer(nn.Module):
    def __init__(self, dim, out, wide):
        super().__init__()
        if wide:
            self.fc = nn.Sequential(nn.Linear(2 * dim, out), nn.Dropout(0.5), nn.Sigmoid())  #! dropout-on-logits advice
        else:
            self.fc = nn.Sequential(nn.Linear(dim, out), nn.Dropout(0.5), nn.Sigmoid())

    def forward(self, x):
        return self.fc(x)
