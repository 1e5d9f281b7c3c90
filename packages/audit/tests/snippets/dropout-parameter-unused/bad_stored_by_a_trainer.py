import torch
from layers import Transformer

defaults = {"dropout": 0.1, "depth": 6}


class Generator(object):
    # create_model gives the depth and not the rate, which is only saved.
    def __init__(
        self,
        size,
        dropout=defaults["dropout"],  #! dropout-parameter-unused advice
        depth=defaults["depth"],
    ):
        self.size = size
        self.dropout = dropout
        self.depth = depth
        self.model = self.create_model()
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def create_model(self):
        return Transformer(self.size, depth=self.depth)

    def train(self, batches):
        self.model.train()
        for batch in batches:
            loss = self.model(batch)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    def save(self, path):
        state = self.model.state_dict()
        torch.save({"dropout": self.dropout, "depth": self.depth, "model": state}, path)

    @staticmethod
    def load(path):
        saved = torch.load(path)
        return Generator(8, dropout=read(saved, "dropout"), depth=saved["depth"])
