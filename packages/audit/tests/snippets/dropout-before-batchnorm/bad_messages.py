import dgl.function as fn
from torch import nn


class Layer(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.bn = nn.BatchNorm1d(d)
        self.drop = nn.Dropout(p)
        self.gru = nn.GRU(d, d, batch_first=True)
        self.fc = nn.Linear(d, d)

    def reduce(self, nodes):
        _, last = self.gru(nodes.mailbox["m"])
        return {"neigh": last.squeeze(0)}

    def forward(self, g, x):
        with g.local_scope():
            g.ndata["ft"] = self.drop(x)  #! dropout-before-batchnorm advice
            g.update_all(fn.copy_u("ft", "m"), self.reduce)
            return self.bn(self.fc(g.ndata["neigh"]))
