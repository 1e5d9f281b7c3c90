import torch.nn.functional as F
from torch import nn


class A(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.classifier = nn.Linear(8, num_classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, s):
        logits = self.dropout(self.classifier(s))  #! dropout-on-logits advice
        loss = F.cross_entropy(logits, s)
        return loss, logits
