import torch


class Trainer:
    def __init__(self, model, teacher, data):
        self.model = model
        self.teacher = teacher
        self.data = data

    def fit(self, epochs):
        optimizer = torch.optim.Adam(self.model.parameters())
        for _ in range(epochs):
            for x in self.data:
                model = self.model
                model.train()
                loss = (model(x) - self.targets(x)).square().mean()
                loss.backward()
                optimizer.step()
            self.test()

    def targets(self, x):
        net = self.teacher
        net.eval()
        with torch.no_grad():
            return net(x)

    def test(self):
        net = self.model
        net.eval()
        with torch.no_grad():
            return sum(net(x).mean() for x in self.data)
