from torch import nn
from torch.nn import init


class Attention(nn.Module):
    def __init__(self, dim, p=0.1):
        super().__init__()
        self.fc = nn.Linear(dim, dim)
        self.drop = nn.Dropout(p)  #! dropout-never-used advice
        self.init_weights()

    def init_weights(self):
        for m in self.modules():
            if isinstance(m, nn.Linear):
                init.normal_(m.weight, std=0.001)
                if m.bias is not None:
                    init.constant_(m.bias, 0)
        for name, m in self.named_modules():
            if "head" in name:
                self._init_weights(m)

    def _init_weights(self, m):
        nn.init.zeros_(m.weight)

    def forward(self, x):
        return self.fc(x)
