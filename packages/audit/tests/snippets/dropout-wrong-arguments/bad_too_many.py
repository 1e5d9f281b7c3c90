import torch
import torch.nn.functional as F
from torch import nn


drop = nn.Dropout(0.5, True, False)  #! dropout-wrong-arguments
