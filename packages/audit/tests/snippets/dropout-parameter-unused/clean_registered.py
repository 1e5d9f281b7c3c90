import torch
import torch.nn.functional as F
from torch import nn


from diffusers.configuration_utils import ConfigMixin, register_to_config


class Model(nn.Module, ConfigMixin):
    @register_to_config
    def __init__(self, dim=8, dropout=0.1):
        super().__init__()
        self.linear = nn.Linear(dim, dim)

    def forward(self, x):
        return F.dropout(self.linear(x), self.config.dropout, self.training)
