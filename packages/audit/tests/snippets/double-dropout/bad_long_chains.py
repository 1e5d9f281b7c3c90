import torch.nn.functional as F
from torch import nn

head = nn.Sequential(
    nn.Linear(8, 8),
    nn.Dropout(0.1),
    nn.Dropout(0.1),  #! double-dropout advice
    nn.Dropout(0.1),
    nn.Dropout(0.1),
    nn.Linear(8, 8),
    nn.Dropout(0.1),
    nn.Dropout(0.1),  #! double-dropout advice
    nn.Dropout(0.1),
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Dropout(0.1)
        self.b = nn.Dropout(0.1)
        self.c = nn.Dropout(0.1)

    def forward(self, x):
        x = self.a(x)
        x = self.b(x)  #! double-dropout advice
        x = self.c(x)
        x = F.dropout(x, 0.1, self.training)
        return x.relu()
