import torch.nn.functional as F
from torch import nn

first = nn.LSTMCell(8, 8, dropout=0.1)  #! dropout-wrong-arguments
second = nn.GRUCell(8, 8, num_layers=2, bias=False)  #! dropout-wrong-arguments
third = nn.RNNCell(8, 8, nonlinearity="relu")


def attend(q, k, v, mask, p):
    return F.multi_head_attention_forward(q, k, v, attn_mask=mask, dropout_p=p)  #! dropout-wrong-arguments
