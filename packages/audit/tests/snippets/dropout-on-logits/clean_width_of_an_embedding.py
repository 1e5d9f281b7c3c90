from torch import nn


class Reader(nn.Module):
    # The width of the embedding, not how many entries it has.
    def __init__(self, config):
        super().__init__()
        self.emb = nn.Embedding(config.vocab, config.width)
        self.up = nn.Linear(config.width, 4 * config.width)
        self.down = nn.Linear(4 * config.width, config.width)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        return self.drop(self.down(self.up(self.emb(x)).relu()))
