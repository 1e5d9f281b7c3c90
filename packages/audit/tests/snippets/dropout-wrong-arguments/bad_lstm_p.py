import torch
import torch.nn.functional as F
from torch import nn


layer = nn.LSTM(8, 8, num_layers=2, p=0.1)  #! dropout-wrong-arguments
