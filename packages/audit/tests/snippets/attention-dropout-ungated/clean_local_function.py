from torch import nn


def scaled_dot_product_attention(q, k, v, dropout_p=0.0):
    return q @ k.transpose(-1, -2) @ v * (1 - dropout_p)


class Attention(nn.Module):
    def forward(self, q, k, v):
        return scaled_dot_product_attention(q, k, v, dropout_p=self.p)
