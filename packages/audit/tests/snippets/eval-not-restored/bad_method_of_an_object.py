import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 1)

    def forward(self, x):
        return self.fc(x)

    def predict(self, x):
        self.eval()  #! eval-not-restored advice
        return self(x)


def fit(loader, valid):
    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    for epoch in range(10):
        for x, y in loader:
            loss = F.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()
        print(epoch, net.predict(valid))
