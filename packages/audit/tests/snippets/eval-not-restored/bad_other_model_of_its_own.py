import torch


def measure(net, loader):
    net.eval()
    judge = Judge()
    judge.train()
    return sum(judge(net(x)) for x in loader)


class Trainer:
    def __init__(self, net):
        self.net = net
        self.optimizer = torch.optim.Adam(net.parameters())

    def fit(self, loader):
        self.net.train()
        for x in loader:
            self.net(x).sum().backward()
            self.optimizer.step()
            measure(self.net, loader)  #! eval-not-restored advice
