from torch import nn
from torch.nn import functional as fn


# Fixed inside: its caller cannot turn it off.
def attend(q, k, v):
    return fn.scaled_dot_product_attention(q, k, v, dropout_p=0.1)  #! attention-dropout-ungated


class Attention(nn.Module):
    def forward(self, q, k, v):
        return attend(q, k, v)
