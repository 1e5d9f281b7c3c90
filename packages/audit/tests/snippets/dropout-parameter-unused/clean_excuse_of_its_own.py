from torch import nn


class Head(nn.Module):
    def __init__(self, size, classes, dropout=0.1):
        """Builds it.

        Args:
            size: That of the input.
            dropout: The rate, which is
                ignored.
        """
        super().__init__()
        self.fc = nn.Linear(size, classes)

    def forward(self, x):
        return self.fc(x)
