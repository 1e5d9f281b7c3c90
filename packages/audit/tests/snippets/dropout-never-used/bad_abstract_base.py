from torch import nn


class Base(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.input_dropout = nn.Dropout(p)
        self.out_dropout = nn.Dropout(p)  #! dropout-never-used advice

    def forward(self, *args, **kwargs):
        raise NotImplementedError()


class A(Base):
    def __init__(self, p):
        super().__init__(p)
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(self.input_dropout(x))


class B(Base):
    def __init__(self, p):
        super().__init__(p)
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(self.input_dropout(x))
