import torch
import torch.nn.functional as F
from torch import nn


class Loader:
    def __init__(self, data, drop_last=False, dropout_mask=None, drop_duplicates=True):
        self.data = torch.as_tensor(data)
