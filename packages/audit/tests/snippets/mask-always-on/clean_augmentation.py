import torch
import torch.nn.functional as F
from torch import nn


class RandomErase:
    def __init__(self, p=0.5, drop_prob=0.1):
        self.p = p
        self.drop_prob = drop_prob

    def __call__(self, image):
        return image * (torch.rand_like(image, dtype=torch.float32) > self.drop_prob)


def drop_feature(x, drop_prob):
    return x * (torch.rand(x.size(1)) >= drop_prob)
