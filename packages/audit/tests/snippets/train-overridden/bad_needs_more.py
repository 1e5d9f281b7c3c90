import torch


class GLEM(torch.nn.Module):
    def __init__(self, lm, gnn):
        super().__init__()
        self.lm = lm
        self.gnn = gnn

    def train(self, em_phase: str, loader, optimizer, *, epoch: int = 0):  #! train-overridden
        return self.lm(loader) if em_phase == "lm" else self.gnn(loader)

    def forward(self, x):
        return self.gnn(torch.nn.functional.dropout(self.lm(x), 0.1, self.training))
