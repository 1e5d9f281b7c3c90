import torch.nn.functional as F

from .base import BaseModel


class Net(BaseModel):
    def forward(self, x):
        return F.dropout(x, 0.5)  #! functional-always-on
