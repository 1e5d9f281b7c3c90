from torch import nn


class Classifier(nn.Module):
    # The dropout has a rate of its own.
    def __init__(
        self,
        words,
        size,
        hidden,
        layers,
        both,
        dropout,  #! dropout-parameter-unused advice
        kind="LSTM",
    ):
        super().__init__()
        self.embedding = nn.Embedding(words, size)
        self.rnn = nn.GRU(size, hidden)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x):
        return self.rnn(self.dropout(self.embedding(x)))
