import torch
import torch.nn.functional as F
from torch import nn


drops = [nn.Dropout(), nn.Dropout(0.1), nn.Dropout(p=0.1, inplace=True), nn.AlphaDropout(0.1, False)]
