import torch.nn.functional as F
from torch import nn


class M0(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.n = n
        self.mods = nn.ModuleDict()
        for i in range(n):
            self.mods[f"fc{i}"] = nn.Linear(d, d)
            self.mods[f"bn{i}"] = nn.BatchNorm1d(d)
        self.drop = nn.Dropout(p)
    def forward(self, x):
        for i in range(self.n):
            x = self.mods[f"fc{i}"](x)
            x = self.mods[f"bn{i}"](x)
            x = self.drop(F.relu(x))  #! dropout-before-batchnorm advice
        return x


class M1(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.net = nn.ModuleDict({"fc": nn.Linear(d, d), "drop": nn.Dropout(p), "fc2": nn.Linear(d, d), "bn": nn.BatchNorm1d(d)})  #! dropout-before-batchnorm advice
    def forward(self, x):
        for layer in self.net.values():
            x = layer(x)
        return x


class M2(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.net = nn.ModuleDict({"fc": nn.Linear(d, d), "drop": nn.Dropout(p), "bn": nn.BatchNorm1d(d)})
    def forward(self, x):
        x = self.net["drop"](x)  #! dropout-before-batchnorm advice
        x = self.net["fc"](x)
        return self.net["bn"](x)


class M3(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(n):
            self.layers.append(nn.ModuleDict({"conv": nn.Conv1d(d, d, 3), "bn": nn.BatchNorm1d(d), "drop": nn.Dropout(p)}))
    def forward(self, x):
        for layer in self.layers:
            x = layer["conv"](x)
            x = F.relu(layer["bn"](x))
            x = layer["drop"](x)  #! dropout-before-batchnorm advice
        return x
