from torch import nn


class Net(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.drop = nn.Dropout(0.1)

    def train(self, b=1):
        self.training = bool(b)
        for child in self.children():
            child.train(b)
        return self


class Other(nn.Module):
    def train(self, is_train):
        set_mode(self, is_train)


class Default(nn.Module):
    def train(self, value=True):
        self.set(value)
        self.optimizer.step()
