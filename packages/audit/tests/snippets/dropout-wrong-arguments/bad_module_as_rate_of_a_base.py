from torch import nn
from torch.nn import functional as F


class Base(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout2d(p)


class Net(Base):
    def forward(self, x, train):
        if train:
            x = F.dropout2d(x, p=self.drop, training=train)  #! dropout-wrong-arguments
        for _ in range(2):
            x = x + F.dropout(x.relu(), self.drop, self.training)  #! dropout-wrong-arguments
        return self.drop(x)
