import torch.nn.functional as F
from torch import nn
from utils import drops_now, in_training, use_flash


class Attention(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p
        self.on = in_training()

    def set(self):
        self.flash = use_flash()

    def forward(self, q, k, v):
        if drops_now():  # it may ask for the mode of this call
            return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)
        if self.on:  # built anew for evaluation
            return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)
        if self.flash:
            return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)
        return q
