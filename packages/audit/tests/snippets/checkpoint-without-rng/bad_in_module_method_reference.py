import torch.nn.functional as F
import torch.utils.checkpoint
from torch import nn


class Net(nn.Module):
    def _ffn(self, x):
        return F.dropout(self.fc(x), self.p, self.training)

    def forward(self, x):
        if self.checkpointing and self.training:
            return torch.utils.checkpoint.checkpoint(self._ffn, x, preserve_rng_state=False)  #! checkpoint-without-rng
        return self._ffn(x)
