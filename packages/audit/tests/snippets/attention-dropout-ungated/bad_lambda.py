import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v):
        run = lambda q: F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)  # noqa: E731  #! attention-dropout-ungated
        return run(q)
