import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        def run(y):
            return F.dropout(self.fc(y), self.p, self.training)

        return torch.utils.checkpoint.checkpoint(run, x, preserve_rng_state=False)  #! checkpoint-without-rng
