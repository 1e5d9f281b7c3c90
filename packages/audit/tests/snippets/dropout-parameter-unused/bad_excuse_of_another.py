from torch import nn


class Head(nn.Module):
    def __init__(self, size, classes, rate_of="legacy", dropout=0.1, ignore=-1):  #! dropout-parameter-unused advice
        """Builds it.

        Args:
            size: TODO.
            classes: How many there are, of which some may
                be deprecated.
            rate_of: Which to take; the old one is kept for compatibility.
            dropout: The rate.
            ignore: The class that is ignored.
        """
        super().__init__()
        self.fc = nn.Linear(size, classes)
        self.rate_of, self.ignore = rate_of, ignore

    def forward(self, x):
        return self.fc(x)
