import torch.nn.functional as F
from torch import nn


class MonteCarloDropout(nn.Module):
    def forward(self, x):
        # Meant, by its name; a comment `torchdropout: mc-dropout` says so to the reader too.
        return F.dropout(x, self.p, True)  #! training-literal advice
