from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.settings = {"dropout": p, "kind": nn.Dropout, "text": "nn.Dropout(p)"}
        self.drop = self.settings["kind"](p)
