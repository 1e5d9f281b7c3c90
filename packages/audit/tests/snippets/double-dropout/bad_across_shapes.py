import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.again = nn.Dropout(p)

    def forward(self, a, b, c):
        a = self.drop(a).view(a.size(0), -1)
        a = self.again(a)  #! double-dropout advice
        b = self.drop(b)
        b = self.again(b.transpose(1, 2).contiguous())  #! double-dropout advice
        c = torch.squeeze(self.drop(c), -1)
        c = self.again(c.permute(1, 0).unsqueeze(0))  #! double-dropout advice
        return a, b, c
