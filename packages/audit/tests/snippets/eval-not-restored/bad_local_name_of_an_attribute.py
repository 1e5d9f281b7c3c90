import torch


class Trainer:
    def __init__(self, model, data):
        self.model = model
        self.data = data

    def fit(self, epochs):
        model = self.model
        model.train()
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(epochs):
            for x, y in self.data:
                optimizer.zero_grad()
                loss = (model(x) - y).square().mean()
                loss.backward()
                optimizer.step()
            print(self.test())

    def test(self):
        net = self.model.to("cpu")
        net.eval()  #! eval-not-restored advice
        with torch.no_grad():
            return sum((net(x) - y).square().mean() for x, y in self.data)
