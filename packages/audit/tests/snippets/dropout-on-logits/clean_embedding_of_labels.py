from torch import nn

from .layers import LabelEncoder, TokenEmbedding


class Net(nn.Module):
    def __init__(self, size, vocab_size, num_labels):
        super().__init__()
        self.tokens = TokenEmbedding(vocab_size, size)
        self.labels = LabelEncoder(size, num_labels)
        self.lstm = nn.LSTM(size, num_labels)
        self.dropout = nn.Dropout(0.5)

    def embed(self, x):
        return self.dropout(self.tokens(x))

    def encode(self, y):
        return self.dropout(self.labels(y))

    def forward(self, x):
        x, _ = self.lstm(x)
        return self.dropout(x)
