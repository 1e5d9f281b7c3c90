import torch.nn.functional as F
from torch_geometric.nn import GCNConv, MessagePassing


class Conv(MessagePassing):
    def forward(self, x, edge_index):
        return self.propagate(edge_index, x=x)

    def message(self, x_j, alpha):
        alpha = F.dropout(alpha, p=self.dropout)  #! functional-always-on
        return x_j * alpha
