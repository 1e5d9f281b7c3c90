from torch import nn


class Classifier(nn.Module):
    def __init__(self, body, size, count):
        super().__init__()
        self.body = body
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(size, count)

    def forward(self, x):
        logits = self.body(x)
        logits = self.drop(logits)  # features: the layer that makes them scores comes next
        return self.out(logits)
