from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.embed = nn.Sequential(nn.Embedding(1000, 64), nn.Dropout(p))
