import torch
import torch.nn.functional as F
from torch import nn


def attend(q, k, v, p):
    return F.scaled_dot_product_attention(q, k, v, dropout=p)  #! dropout-wrong-arguments


layer = nn.MultiheadAttention(8, 2, dropout_p=0.1)  #! dropout-wrong-arguments
encoder = nn.TransformerEncoderLayer(8, 2, dropout_rate=0.1)  #! dropout-wrong-arguments
