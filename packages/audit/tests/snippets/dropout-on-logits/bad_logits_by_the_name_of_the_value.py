from torch import nn
import torch.nn.functional as F

from .layers import Linear


class LengthPredictor(nn.Module):
    def __init__(self, size, longest):
        super().__init__()
        self.length = Linear(size, 2 * longest + 1)
        self.drop = nn.Dropout(0.1)

    def forward(self, encodings, lengths):
        length_logits = self.length(encodings.mean(1))
        length_logits = self.drop(length_logits)  #! dropout-on-logits advice
        return F.cross_entropy(length_logits, lengths)
