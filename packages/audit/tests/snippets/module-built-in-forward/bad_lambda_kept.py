import torch.nn.functional as F
from torch import nn


class Lambda(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x):
        return self.f(x)


class Net(nn.Module):
    post = lambda self, x: nn.Dropout(0.1)(x)  #! module-built-in-forward

    def __init__(self, p):
        super().__init__()
        self.drop = lambda x: nn.Dropout(p)(x)  #! module-built-in-forward
        self.acts = {
            "relu": F.relu,
            "drop": lambda x: F.relu(nn.Dropout(p=0.2)(x)),  #! module-built-in-forward
        }
        self.body = nn.Sequential(
            nn.Linear(8, 8),
            Lambda(lambda x: nn.Dropout(0.5)(x)),  #! module-built-in-forward
        )

        def noisy(x):
            return nn.Dropout2d(p)(x)  #! module-built-in-forward

        self.noisy = noisy

    def forward(self, x):
        return self.noisy(self.acts["drop"](self.drop(self.body(x))))
