from torch import nn


class Net(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        logits = self.body(x)
        dropped = self.dropout(logits)  #! result-unused
        return logits
