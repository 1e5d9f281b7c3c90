from torch import nn


class Embeddings(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.word = nn.Embedding(100, 64)
        self.dropout = nn.Dropout(p)

    def forward(self, ids):
        x = self.word(ids)
        # The line below was copied by mistake from another model; disabled until somebody has looked.
        # x = self.dropout(x)
        return x
