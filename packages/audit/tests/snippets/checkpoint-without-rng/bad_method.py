from torch import nn
from torch.utils.checkpoint import checkpoint as save_memory


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.drop = nn.Dropout(p)

    def _inner(self, x):
        return self.drop(self.fc(x))

    def forward(self, x):
        return save_memory(self._inner, x, preserve_rng_state=False)  #! checkpoint-without-rng
