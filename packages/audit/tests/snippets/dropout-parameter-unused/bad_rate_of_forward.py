from torch import nn


class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.dropout = nn.Dropout(0.1)

    def forward(self, query, key, value, dropout=0.1):  #! dropout-parameter-unused advice
        weights = (self.q(query) @ self.k(key).mT).softmax(-1)
        return self.dropout(weights) @ self.v(value)
