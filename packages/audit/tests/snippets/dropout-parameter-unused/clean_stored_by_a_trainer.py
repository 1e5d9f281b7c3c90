import torch
from layers import Transformer


class Generator:
    def __init__(self, size, dropout=0.1, depth=6):
        self.size = size
        self.dropout = dropout
        self.depth = depth
        self.model = self.create_model()
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def create_model(self):
        return Transformer(self.size, rate=self.dropout, depth=self.depth)

    def step(self, batch):
        self.model(batch).backward()
        self.optimizer.step()


class Options:
    # It trains nothing: another file reads what it holds.
    def __init__(self, size, dropout=0.1):
        self.size = size
        self.dropout = dropout


class Searched(Base):
    # A base of another file may read any attribute, as get_params() does.
    def __init__(self, size, dropout=0.1):
        self.size = size
        self.dropout = dropout

    def fit(self, batch):
        self.model = self.make()
        self.model(batch).backward()


class Kept:
    def __init__(self, size, dropout=0.1):
        self.size = size
        self.dropout = dropout
        self.model = Transformer(**vars(self))

    def fit(self, batch):
        self.model(batch).backward()


class Told:
    def __init__(self, size, dropout=0.1):
        self.dropout = dropout
        self.model = Transformer(size)

    def fit(self, batch):
        self.model(batch).backward()
        record({"rate": self.dropout})


class ByName:
    def __init__(self, size, dropout=0.1):
        self.dropout = dropout
        self.model = Transformer(size, dropout=getattr(self, "dropout"))

    def fit(self, batch):
        self.model(batch).backward()
