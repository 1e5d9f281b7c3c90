from torch import nn


class Net(nn.Module):
    def __init__(self, dim, num_classes, p):
        super().__init__()
        self.fc = nn.Linear(dim, num_classes)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        logits = self.fc(x)
        logits = self.drop(logits)  #! dropout-on-logits advice
        return logits
