from torch import nn


class Final(nn.Module):
    def __init__(self, num_classes, width, p):
        super().__init__()
        self.p = p
        self.fc = nn.Linear(width, num_classes)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        x = self.fc(x)
        if self.p != 0:
            x = self.drop(x)  #! dropout-on-logits advice
        return x
