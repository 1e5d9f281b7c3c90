import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 1)

    def forward(self, x):
        return self.fc(x)

    def fit(self, loader, epochs):
        model = self.train()
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        for _ in range(epochs):
            for i, (x, y) in enumerate(loader):
                optimizer.zero_grad()
                loss = F.mse_loss(model(x), y)
                loss.backward()
                optimizer.step()
                if i % 100 == 99:
                    print(self.evaluate(x, y))
            print(self.score_by_batch(loader))

    def score_by_batch(self, loader):
        model = self.eval()  #! eval-not-restored advice
        return sum(F.mse_loss(model(x), y).item() for x, y in loader)

    def predict(self, x):
        model = self.eval()  #! eval-not-restored advice
        return model(x)

    def evaluate(self, x, y):
        return F.mse_loss(self.predict(x), y).item()
