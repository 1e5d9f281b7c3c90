import dgl.function as fn
from dgl.ops import edge_softmax
from torch import nn


class Layer(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.bn = nn.BatchNorm1d(d)
        self.drop = nn.Dropout(p)
        self.fc = nn.Linear(d, d)

    # The messages do not hold what is dropped.
    def forward(self, g, x):
        g.ndata["dropped"] = self.drop(x)
        g.ndata["ft"] = x
        g.update_all(fn.copy_u("ft", "m"), fn.sum("m", "out"))
        return self.bn(self.fc(g.ndata["out"])), g.ndata["dropped"]


class Attention(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.bn = nn.BatchNorm1d(d)
        self.drop = nn.Dropout(p)
        self.fc = nn.Linear(d, d)

    # The dropout of an attention's weights.
    def forward(self, g, x, scores):
        g.srcdata["ft"] = self.fc(x)
        g.edata["a"] = self.drop(edge_softmax(g, scores))
        g.update_all(fn.u_mul_e("ft", "a", "m"), fn.sum("m", "out"))
        return self.bn(g.dstdata["out"])

    def weigh(self, g, x, scores):
        weights = self.drop(edge_softmax(g, scores))
        return self.bn(self.fc(x) * weights)
