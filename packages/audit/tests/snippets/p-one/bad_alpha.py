import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = torch.nn.AlphaDropout(1.0)  #! p-one advice
