import torch.nn.functional as F
from torch import nn


def attend(q, k, v, dropout_p):
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p)


class Attention(nn.Module):
    def forward(self, q, k, v):
        # What is wrong is what this caller passes.
        return attend(q, k, v, self.dropout)  #! attention-dropout-ungated
