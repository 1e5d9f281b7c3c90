from .settings import FAST

if FAST:
    import fastlib.functional as F
else:
    import torch.nn.functional as F


class Net(Base):
    def forward(self, x):
        return F.dropout(x, 0.1)
