from torch import nn


class A(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.drop = nn.Dropout(p)  #! dropout-never-used advice
        init_weights(self)

    def forward(self, x):
        return self.fc(x)


def init_weights(m):
    for q in m.modules():
        if isinstance(q, nn.Linear):
            q.weight.data.zero_()
