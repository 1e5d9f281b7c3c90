import torch
import torch.nn.functional as F
from torch import nn


class InForward(nn.Module):
    def loss(self, x):
        return F.mse_loss(F.dropout(x, 0.3), x)  #! functional-always-on

    def forward(self, x):
        return self.loss(x)


class InValidation(nn.Module):
    def compute_loss(self, x):
        return F.mse_loss(F.dropout(x, 0.3), x)  #! functional-always-on

    def forward(self, x):
        return x


class Test(nn.Module):
    def eval_loss(self, x):
        return F.mse_loss(F.dropout(x, 0.3), x)  #! functional-always-on

    def forward(self, x):
        return x


class Views(nn.Module):
    def views(self, x):
        return F.dropout(x, 0.3)  #! functional-always-on

    def view_loss(self, x):
        return (self.views(x) * x).sum()

    def forward(self, x):
        return self.views(x)


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return sum(model.compute_loss(x) for x in loader)
