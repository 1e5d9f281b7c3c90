import torch
import torch.nn.functional as F


class Noisy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return F.dropout(x, 0.1)  #! functional-always-on advice

    @staticmethod
    def backward(ctx, grad):
        return grad
