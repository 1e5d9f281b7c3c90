from torch import nn


class Summary(nn.Module):
    def __init__(self, size, num_classes, last=0.0):
        super().__init__()
        self.summary = nn.Linear(size, num_classes)
        self.activation = nn.Tanh()
        self.last_dropout = nn.Identity()
        if last > 0:
            self.last_dropout = nn.Dropout(last)  # by default there is none

    def forward(self, x):
        return self.last_dropout(self.summary(x))
