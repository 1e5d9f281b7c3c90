import torch
import torch.nn.functional as F
from torch import nn


class A(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.drop = torch.dropout(cfg["drop_rate"])  #! dropout-wrong-arguments
